"""What every base model shares: its SPEC, its frozen parts, how its folder is read."""

from maskunet.models.base.folder import from_folder, suit
from maskunet.models.base.model import DEFAULT_STEPS, TINY_DECODER, DiffusionModel, ModelSpec

__all__ = [
    "DEFAULT_STEPS",
    "DiffusionModel",
    "ModelSpec",
    "TINY_DECODER",
    "from_folder",
    "suit",
]
