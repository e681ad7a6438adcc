"""One run: made, recorded, kept as a folder, replayed, drawn."""
