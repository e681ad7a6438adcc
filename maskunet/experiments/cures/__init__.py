"""What mends a base model that learned from spoiled data: masks, fine-tunes and their controls, compared."""
