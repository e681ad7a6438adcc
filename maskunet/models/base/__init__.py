"""What every base model shares: its SPEC, its frozen parts, how its folder is read."""

from maskunet.models.base.folder import from_folder, suit
from maskunet.models.base.model import TINY_DECODER, DiffusionModel, ModelSpec

__all__ = [
    "DiffusionModel",
    "ModelSpec",
    "TINY_DECODER",
    "from_folder",
    "suit",
]
