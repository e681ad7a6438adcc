"""The words of LoRA files and embeddings."""

LORAS = "LoRA"
LORAS_INFO = "Files of the folder loras, up to four; each has a weight below."
WEIGHT = "Weight of {name}"
MASKS = "Masks act on"
READINGS = (("the weights with the LoRA", "merged"), ("the base’s alone, the LoRA stays whole", "base"))
EMBEDDINGS = "Embeddings"
EMBEDDINGS_INFO = "New words for the prompt, of the folder embeddings, up to four."
BASE = ", masks on the base’s weights alone"
WRITE = "Words"
UNREAD = "{name} (cannot be read)"
GONE = "This file is not here."
