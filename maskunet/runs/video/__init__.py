"""Several pictures that hang together: Text2Video-Zero on the methods of single pictures."""
