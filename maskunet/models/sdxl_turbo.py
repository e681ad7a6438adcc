"""SDXL-Turbo: Stable Diffusion XL distilled to draw in one step, pictures of 512 x 512."""

from maskunet.models.base import ModelSpec

SPEC = ModelSpec(
    name="sdxl_turbo",
    title="SDXL-Turbo",
    summary="Stable Diffusion XL distilled to one step without guidance, in half precision, pictures of 512 x 512.",
    license="sai-nc-community, Stability AI's non-commercial community license",
    repo="stabilityai/sdxl-turbo",
    variant="fp16",
    download_gb=7.27,  # the parts of Stable Diffusion XL in float16, and the other VAE in float32
    guidance=1.0,
    steps=1,
    few_steps=True,
    tiny_decoder="madebyollin/taesdxl",
    vae="madebyollin/sdxl-vae-fp16-fix",
)
