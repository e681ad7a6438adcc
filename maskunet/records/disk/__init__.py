"""Files that others may have made: checked before use, and written whole or not at all."""
