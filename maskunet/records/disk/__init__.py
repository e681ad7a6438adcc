"""Files that others may have made: checked before use, written whole or not at all."""
