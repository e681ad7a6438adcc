"""Any folder of your own in Stable Diffusion 1.x, 2.x or XL format, given with --weights; see `library.own_models` for files."""

from maskunet.models.base import ModelSpec

SPEC = ModelSpec(
    name="folder",
    title="A folder of your own",
    summary="Any Stable Diffusion 1.x, 2.x or XL folder in diffusers format with safetensors weights.",
    license="as stated by the model's maker",
)
