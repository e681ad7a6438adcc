"""What a prompt says: which things it names and which words describe them."""
