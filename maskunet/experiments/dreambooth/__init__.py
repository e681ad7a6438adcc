"""DreamBooth on tabletop, with weights and with masks: who learns a subject, and what the class loses by it."""
