"""A base model with a mask folded into its weights, for other programs: a folder, a single file, or the difference."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from maskunet.masks import fold
from maskunet.models.base import DiffusionModel, single_file
from maskunet.models.base.reading import CONFIG_FILES, SECOND_WEIGHTS, WEIGHT_FILES
from maskunet.models.base.scheduler import LEAST_SIGNAL
from maskunet.models.base.single_file import write
from maskunet.models.base.single_file.prediction import MARKERS, METADATA
from maskunet.records.disk import whole
from maskunet.records.held_mask import HeldMask

FORMS = ("folder", "file", "difference")
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "safety_checker": [None, None],
    "requires_safety_checker": False,
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
XL = {
    "_class_name": "StableDiffusionXLPipeline",
    "image_encoder": [None, None],
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"],
}
NOT_XL = ("safety_checker", "requires_safety_checker")
PREFIX = "lora_unet_"  # with it ComfyUI, A1111 and Forge find a weight of the U-Net by diffusers' name


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What was written: weights that are 0 now, those of the masked layers, those of the U-Net, and bytes."""

    removed: int
    sites: int
    unet: int
    size: int


def export(
    model: DiffusionModel, source: Path, mask: HeldMask, form: str, out: Path, *, half: bool = False
) -> Exported:
    """Write a model under a static mask, whole or not at all; the model itself is left as it is.

    Args:
        source: the folder or file that the model was read from. form: one of FORMS. half: in float16.

    Raises:
        ValueError: something is there already, or it cannot be written.
    """
    if out.exists():
        raise ValueError(f"“{out.name}” is there already. Give another --out.")
    changed = fold.weights(model.unet, mask)
    dtype = torch.float16 if half else torch.float32
    with whole.telling("model"):
        {"folder": _folder, "file": _file, "difference": _difference}[form](model, source, changed, dtype, out)
    files = [path for path in out.rglob("*") if path.is_file()] if out.is_dir() else [out]
    return Exported(
        removed=len(next(iter(mask.steps.values()))),
        sites=mask.total,
        unet=sum(p.numel() for p in model.unet.parameters()),
        size=sum(path.stat().st_size for path in files),
    )


def _states(model: DiffusionModel, changed: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The networks' weights by diffusers' names, the U-Net's under the mask."""
    states = {
        part: {n: v.detach().cpu() for n, v in each.state_dict().items()} for part, each in model.networks.items()
    }
    states["unet"] |= {name: value.cpu() for name, value in changed.items()}
    return states


def _in(dtype: torch.dtype, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # A copy, as tensors in another order of memory, or that share one, cannot be written.
    return {n: v.to(dtype if v.is_floating_point() else v.dtype).contiguous().clone() for n, v in state.items()}


def _folder(model: DiffusionModel, source: Path, changed: Mapping[str, Tensor], dtype: torch.dtype, out: Path) -> None:
    configs = source if source.is_dir() else single_file.kind_of(source).configs
    with whole.folder(out) as fresh:
        for part, state in _states(model, changed).items():
            (fresh / part).mkdir()
            shutil.copy(configs / part / "config.json", fresh / part)
            if part == "text_encoder":
                state = {f"text_model.{name.removeprefix('text_model.')}": value for name, value in state.items()}
            stem = {**WEIGHT_FILES, **SECOND_WEIGHTS}[part]
            save_file(_in(dtype, state), fresh / part / f"{stem}.safetensors", metadata={"format": "pt"})
        model.tokenizer.save_pretrained(fresh / "tokenizer")
        if model.tokenizer_2 is not None:
            model.tokenizer_2.save_pretrained(fresh / "tokenizer_2")
        (fresh / "scheduler").mkdir()
        scheduler = json.loads((configs / "scheduler" / CONFIG_FILES["scheduler"]).read_text(encoding="utf-8"))
        index = _index(model)
        if source.is_dir():
            index["scheduler"] = ["diffusers", scheduler.get("_class_name", "DDIMScheduler")]
        else:
            scheduler |= {"prediction_type": model.schedule.prediction_type, "rescale_betas_zero_snr": _noisy(model)}
            _amend(fresh / "unet" / CONFIG_FILES["unet"], sample_size=model.latent_shape[-1])
        _write_json(fresh / "scheduler" / CONFIG_FILES["scheduler"], scheduler)
        _write_json(fresh / "model_index.json", index)


def _index(model: DiffusionModel) -> dict[str, Any]:
    if model.text_encoder_2 is None:
        return dict(INDEX)
    own = {name: value for name, value in INDEX.items() if name not in NOT_XL}
    return {**own, **XL, "force_zeros_for_empty_prompt": model.empty_is_zeros}


def _file(model: DiffusionModel, source: Path, changed: Mapping[str, Tensor], dtype: torch.dtype, out: Path) -> None:
    kind = "sdxl" if model.text_encoder_2 is not None else "sd2" if model.unet.config.use_linear_projection else "sd1"
    state = write.original_state(model.networks, kind, _states(model, changed))
    if _noisy(model):
        state |= {marker: torch.zeros(0) for marker in MARKERS}
    says = {"epsilon": "epsilon", "v_prediction": "v"}.get(model.schedule.prediction_type, "")
    with whole.file(out) as fresh:
        save_file(_in(dtype, state), fresh, metadata={"format": "pt", METADATA: says})


def _difference(
    model: DiffusionModel, source: Path, changed: Mapping[str, Tensor], dtype: torch.dtype, out: Path
) -> None:
    base = model.unet.state_dict()
    names = {name: PREFIX + name.removesuffix(".weight").replace(".", "_") + ".diff" for name in changed}
    state = {names[name]: value.cpu() - base[name].cpu() for name, value in changed.items()}
    with whole.file(out) as fresh:
        save_file(_in(dtype, state), fresh, metadata={"format": "pt", "base": model.name})


def _noisy(model: DiffusionModel) -> bool:
    """Whether its schedule ends in nothing but noise."""
    return float(model.schedule.alphas_cumprod[-1]) <= LEAST_SIGNAL


def _amend(path: Path, **values: Any) -> None:
    _write_json(path, {**json.loads(path.read_text(encoding="utf-8")), **values})


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
