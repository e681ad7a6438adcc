"""A model in one .safetensors file, as model sites have them: the original layout of Stable Diffusion 1.x, 2.x and XL.

What a file holds is known from its header, before a byte of its weights is read. Nothing is fetched: the configurations
are in configs/, the tokenizer's vocabulary is open_clip's.
"""

from maskunet.models.base.single_file.read import config_of, from_file, kind_of

__all__ = ["config_of", "from_file", "kind_of"]
