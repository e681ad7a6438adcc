"""A fine-tuned U-Net in place of the base model's: a LoRA or all weights. The baselines of MaskUNet, trained."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from maskunet.methods import plain
from maskunet.methods.base import MethodSpec, read_part, trained_part
from maskunet.models.base import DiffusionModel, fine_tuned
from maskunet.plugins import setting
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Which U-Net.

    Attributes:
        training: name of the LoRA or of the fully fine-tuned U-Net; empty for the first one of the model.
        second_order: DPM-Solver++ 2M; otherwise its first order.
    """

    training: str = setting("", "name of a fine-tuned U-Net; empty for the first")
    second_order: bool = setting(True, "use the solver's second order")


def run(
    model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Settings
) -> Iterator[StepEvent]:
    """Sample as the plain method does, with the other U-Net; the base model's is not touched."""
    (path,) = parts(model, settings).values()
    tuned = replace(model, unet=read_part(model, path, fine_tuned.load))
    yield from plain.run(tuned, rewards, request, plain.Settings(second_order=settings.second_order))


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
    run=run,
    parts=parts,
    takes={"training": "unet"},
)
