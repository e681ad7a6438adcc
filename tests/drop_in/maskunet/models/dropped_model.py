"""A base model in one file."""

from maskunet.models.base import ModelSpec

SPEC = ModelSpec(
    name="dropped_model",
    title="Dropped model",
    summary="A base model in one file.",
    license="none",
    repo="nobody/dropped",
    download_gb=1.25,
)
