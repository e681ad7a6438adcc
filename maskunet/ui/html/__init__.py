"""From records to HTML fragments of the page."""
