"""A fine-tuned U-Net in place of the base model's: a LoRA or all weights. The baselines of MaskUNet, trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from maskunet.methods import plain
from maskunet.methods.base import MethodSpec, Predict, Sampled, Sampling, Solver, read_part, trained_part
from maskunet.models.base import DiffusionModel, fine_tuned
from maskunet.plugins import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(Solver):
    """Which U-Net.

    Attributes:
        training: name of the LoRA or of the fully fine-tuned U-Net; empty for the first one of the model.
    """

    training: str = setting("", "name of a fine-tuned U-Net; empty for the first")


@contextmanager
def looking(model: DiffusionModel, sampling: Sampling, settings: Settings) -> Iterator[Predict]:
    """As the plain method, with the other U-Net; the base model's is not touched."""
    (path,) = parts(model, settings).values()
    tuned = replace(model, unet=read_part(model, path, fine_tuned.load))
    with plain.looking(tuned, sampling, settings) as predict:
        yield predict


def parts(model: DiffusionModel, settings: Settings) -> dict[str, Path]:
    """The file of the U-Net that the settings name."""
    train = f"python -m maskunet train lora --model {model.name} --out trained/{model.name}/my-lora"
    files = model.trained.get("unet", {})
    return dict([trained_part(files, settings.training, "fine-tuned U-Net", train)])


SPEC = MethodSpec(
    name="fine_tuned",
    title="Fine-tuned",
    kind="rival",
    summary="A LoRA or a fully fine-tuned U-Net in place of the base model's: what masks are compared with.",
    source="the baselines of MaskUNet (CVPR 2025), Table 1; LoRA (Hu et al. 2021)",
    presets={"second_order": Settings(), "first_order": Settings(second_order=False)},
    run=Sampled(looking),
    parts=parts,
    takes={"training": "unet"},
)
