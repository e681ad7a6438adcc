"""Stable Diffusion 1.5, the paper's base model."""

from maskunet.models.base import ModelSpec

SPEC = ModelSpec(
    name="sd15",
    title="Stable Diffusion 1.5",
    summary="The paper's base model: 860 million parameters in its U-Net, pictures of 512 x 512.",
    license="CreativeML OpenRAIL-M",
    repo="stable-diffusion-v1-5/stable-diffusion-v1-5",
    download_gb=4.27,  # 1,066 million float32 weights; no safety checker, no half-precision copies
    guidance=7.5,
    tiny_decoder="madebyollin/taesd",
)
