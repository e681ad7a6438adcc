"""A style LoRA under masks on tabletop: do both together what each does alone?"""
