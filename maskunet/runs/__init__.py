"""One run: how it is made, recorded, kept as a folder, replayed and drawn."""
