"""How the embedded world was made: its trainings and its measurements."""
