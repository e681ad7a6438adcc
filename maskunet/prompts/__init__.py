"""What a prompt says: its noun-modifier groups and the tokens they stand at."""
