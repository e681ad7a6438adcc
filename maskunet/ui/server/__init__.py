"""The server behind the page: its launch, its door, its endpoint."""
