"""LoRA files from elsewhere: recognized and checked by their header, then added to a copy of the model's networks."""

from maskunet.models.base.lora.put_on import put_on
from maskunet.models.base.lora.read import About, about

__all__ = ["About", "about", "put_on"]
