"""What is on this machine: base models with their rewards, where their weights lie, downloads."""
