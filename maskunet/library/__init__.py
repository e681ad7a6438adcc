"""What is on this machine: base models, their rewards, where the weights lie, downloads."""
