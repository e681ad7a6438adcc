"""Masks on a frozen U-Net: where they sit, how they are drawn, how they are put on and taken off."""
