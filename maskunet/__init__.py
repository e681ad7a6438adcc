"""MaskUNet."""
