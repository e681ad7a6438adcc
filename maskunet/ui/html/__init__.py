"""Records to fragments of the page."""
