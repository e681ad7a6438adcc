"""One tab of the page per file."""
