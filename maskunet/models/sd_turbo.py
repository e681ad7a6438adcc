"""SD-Turbo: Stable Diffusion 2.1 distilled to draw in one step; two to four are finer."""

from maskunet.models.base import ModelSpec

SPEC = ModelSpec(
    name="sd_turbo",
    title="SD-Turbo",
    summary="Stable Diffusion 2.1 distilled to one step without guidance, pictures of 512 x 512.",
    license="Stability AI Community License",
    repo="stabilityai/sd-turbo",
    download_gb=5.16,  # the parts of Stable Diffusion 2 in float32
    guidance=1.0,
    steps=1,
    few_steps=True,
    tiny_decoder="madebyollin/taesd",
)
