"""Stable Diffusion XL base 1.0: two text encoders, pictures of 1024 x 1024, six times the masks of 1.5."""

from maskunet.models.base import ModelSpec

SPEC = ModelSpec(
    name="sdxl",
    title="Stable Diffusion XL",
    summary="Base 1.0 in half precision: 2,567 million parameters in its U-Net, pictures of 1024 x 1024.",
    license="CreativeML Open RAIL++-M",
    repo="stabilityai/stable-diffusion-xl-base-1.0",
    variant="fp16",
    download_gb=7.27,  # 3,469 million float16 weights, and the other VAE in float32
    guidance=5.0,
    steps=25,
    tiny_decoder="madebyollin/taesdxl",
    vae="madebyollin/sdxl-vae-fp16-fix",
)
