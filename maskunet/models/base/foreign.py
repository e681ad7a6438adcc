"""Relatives of Stable Diffusion that are not read here: known by their configurations, refused by name."""

from pathlib import Path

from maskunet.models.base.reading import config_of, index_of, is_xl

GIVE = "Give a text-to-image Stable Diffusion 1.x, 2.x or XL folder."
# Of the U-Net's input, where it also takes something else than the noisy latent.
CHANNELS = {
    9: "an inpainting model",
    8: "a model that edits pictures (InstructPix2Pix)",
    7: "an upscaler",
    5: "a depth-to-image model",
}
CLASSES = ("Flux", "StableDiffusion3", "PixArt", "Cascade", "LatentConsistency")  # of pipelines


def refuse_others(folder: Path) -> None:
    """Refuse relatives of Stable Diffusion that are known by their configurations, before a weight is read.

    Raises:
        ValueError: names what the folder holds.
    """
    unet, vae, index = config_of(folder, "unet"), config_of(folder, "vae"), index_of(folder)
    called = str(index.get("_class_name", ""))
    what = ""
    if isinstance(channels := unet.get("in_channels"), int) and channels in CHANNELS:
        what = f"{CHANNELS[channels]}, whose U-Net takes {channels} channels and not 4"
    elif index.get("requires_aesthetics_score") or (is_xl(folder) and not (folder / "text_encoder").is_dir()):
        what = "the refiner of Stable Diffusion XL, which needs its base"
    elif vae.get("latents_mean") is not None or vae.get("latents_std") is not None:
        what = "a model whose latents have a mean and a deviation of their own, such as Playground 2.5"
    elif any(name in called for name in CLASSES):
        what = called.removesuffix("Pipeline")
    if what:
        raise ValueError(f"“{folder.name}” is another kind of model: {what}. {GIVE}")
