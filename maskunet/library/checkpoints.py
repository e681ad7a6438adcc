"""Published U-Nets of Stable Diffusion 1.5 that learned from people's preferences; the method fine_tuned draws with them."""

from dataclasses import dataclass
from pathlib import Path

from maskunet.models.base import unet_of_others
from maskunet.records.disk.hub import snapshot

FILES = ("unet/config.json", "unet/*.safetensors", "config.json", "diffusion_pytorch_model*.safetensors")
WHOLE, HALF = 3.44, 1.72  # GB of its 860 million weights in float32 and float16


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A U-Net for a base model, in diffusers' format.

    Attributes:
        base: name of the base model. repo: Hugging Face repository; of it only the U-Net is fetched.
        download_gb: size of that, 10^9 bytes; where it is not `stated`, of the weights in float32, which is the most.
        source: the paper.
    """

    name: str
    title: str
    license: str
    repo: str
    download_gb: float
    source: str
    stated: bool = True
    base: str = "sd15"

    @property
    def about(self) -> str:
        """Title, license and, where it is not known, a word on the size."""
        size = "" if self.stated else "; size not stated, this is the most"
        return f"{self.title} (license: {self.license}{size})"


SPECS = {
    each.name: each
    for each in (
        Checkpoint(
            name="dpo",
            title="Diffusion-DPO, a U-Net for Stable Diffusion 1.5",
            license="OpenRAIL++",
            repo="mhdang/dpo-sd1.5-text2image-v1",
            download_gb=WHOLE,
            source="Wallace et al. 2023, 2311.12908",
        ),
        Checkpoint(
            name="spo",
            title="SPO, a U-Net for Stable Diffusion 1.5",
            license="Apache-2.0",
            repo="SPO-Diffusion-Models/SPO-SD-v1-5_4k-p_10ep",
            download_gb=HALF,
            source="Liang et al. 2024, 2406.04314",
        ),
        Checkpoint(
            name="inpo",
            title="InPO, a U-Net for Stable Diffusion 1.5",
            license="not stated; Apache-2.0 for its code",
            repo="JaydenLu666/InPO-SD1.5",
            download_gb=WHOLE,
            source="Lu et al. 2025, 2503.18454",
            stated=False,
        ),
    )
}


def here(base: str) -> dict[str, Path]:
    """The files of a base model's checkpoints in the Hugging Face cache, by name."""
    folders = {each.name: snapshot(each.repo) for each in SPECS.values() if each.base == base}
    files = {name: unet_of_others.file_in(folder) for name, folder in folders.items() if folder is not None}
    return {name: path for name, path in files.items() if path is not None}
