"""How the embedded world was made and measured."""
