"""Masks in a diffusers pipeline of someone's own: put on, left on for every call, taken off again."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskunet.masks import generator_file, held
from maskunet.masks.masked_unet import Features, MaskedUNet
from maskunet.records import held_mask, mask_set
from maskunet.records.disk import hub_parts, trained_file
from maskunet.records.held_mask import FILE

ON = "_maskunet"  # the attribute of a U-Net that has masks on


class Applied:
    """What `apply_masks` did to a U-Net, for `remove_masks`."""

    def __init__(self, unet: nn.Module):
        self.masked = MaskedUNet(unet)
        self.hooks: list[Any] = []

    def undo(self) -> None:
        """Put the original layers back, where the pipeline has been moved to in the meantime."""
        for hook in self.hooks:
            hook.remove()
        for name, layer in self.masked.layers.items():
            self.masked.original(name).to(layer.weight.device, layer.weight.dtype)
        self.masked.__exit__(None, None, None)


def apply_masks(pipe: Any, file: str | Path) -> None:
    """Put masks on the U-Net of any diffusers pipeline of Stable Diffusion 1.x, 2.x or XL, until `remove_masks`.

    What was on before is taken off. The frozen weights are left as they are.

    Args:
        pipe: such as StableDiffusionPipeline, its img2img or its ControlNet form.
        file: a kept mask or a trained mask generator: trained.safetensors, its folder, or hf://OWNER/NAME. Whether it was made for these
            weights a pipeline cannot tell, so only the sites are compared.

    Raises:
        ValueError: no such file, it does not fit this U-Net, or the U-Net cannot carry masks; nothing is changed then.
    """
    unet, address = _unet(pipe), str(file).startswith("hf://")
    path = hub_parts.cached(str(file)) if address else Path(file)
    path = path / FILE if path.is_dir() else path
    kinds = trained_file.kinds(path)
    if trained_file.EMBEDDING in kinds:
        raise ValueError(
            f"“{path.name}” holds a word, with or without masks, which a pipeline cannot be given here. Use it in the lab: "
            "--embedding"
        )
    if "generator" in kinds:
        put_on = _generated(pipe, generator_file.load(path, unet))
    elif "mask" in kinds:
        put_on = _kept(path, unet)
    else:
        raise ValueError(
            f"“{path.name}” holds neither a kept mask nor a mask generator. Make one: python -m maskunet mask make NAME"
        )
    if any(getattr(module, "fused_projections", False) for module in unet.modules()):
        raise ValueError("The attention's projections are fused. Call pipe.unfuse_qkv_projections() first.")
    if any(value.is_meta for value in unet.parameters()):
        raise ValueError(
            "The weights are offloaded layer by layer. Put masks on before enable_sequential_cpu_offload()."
        )
    remove_masks(pipe)
    applied = Applied(unet)
    applied.masked.__enter__()
    setattr(unet, ON, applied)
    put_on(applied)


def remove_masks(pipe: Any) -> None:
    """Take off what `apply_masks` has put on; without masks nothing happens.

    Raises:
        ValueError: the pipeline has no U-Net.
    """
    unet = _unet(pipe)
    if (applied := getattr(unet, ON, None)) is not None:
        applied.undo()
        delattr(unet, ON)


def _unet(pipe: Any) -> nn.Module:
    unet = getattr(pipe, "unet", None)
    if unet is None or not hasattr(unet, "up_blocks"):
        raise ValueError("This pipeline has no U-Net. Give a diffusers pipeline of Stable Diffusion 1.x, 2.x or XL.")
    return unet


def _kept(path: Path, unet: nn.Module) -> Callable[[Applied], None]:
    """What puts a kept mask on: folded in if it is one for all steps, else at each timestep its own."""
    mask = held_mask.load(path)
    mask_set.check_sites(mask, "this U-Net", held.shapes(unet))

    def masks_at(timestep: int) -> Mapping[str, Tensor]:
        return held.tensors(mask.at(timestep), mask.sites, unet.get_submodule(next(iter(mask.sites))).weight)

    def put_on(applied: Applied) -> None:
        if mask.static:
            applied.masked.fold(masks_at(0))
            return
        now: list[int] = []  # whose masks are on

        def choose(_: nn.Module, args: tuple, kwargs: Mapping[str, Any]) -> None:
            timestep = mask.nearest(int(torch.as_tensor(kwargs.get("timestep", args[1:2] and args[1])).flatten()[0]))
            if now != [timestep]:
                now[:] = [timestep]
                _set(applied, masks_at(timestep))

        applied.hooks.append(unet.register_forward_pre_hook(choose, with_kwargs=True))

    return put_on


def _generated(pipe: Any, generator: nn.Module) -> Callable[[Applied], None]:
    """What lets a generator make each block's masks from what enters it; those of the prompts serve both halves."""

    dtype = next(generator.parameters()).dtype

    def put_on(applied: Applied) -> None:
        def make(index: int) -> Callable[[nn.Module, tuple, Mapping[str, Any]], None]:
            def before(_: nn.Module, args: tuple, kwargs: Mapping[str, Any]) -> None:
                sample = kwargs["hidden_states"]
                halves = 2 if getattr(pipe, "do_classifier_free_guidance", False) and len(sample) % 2 == 0 else 1
                pictures = len(sample) // halves
                values = (
                    sample,
                    kwargs["temb"],
                    kwargs["encoder_hidden_states"],
                    kwargs["res_hidden_states_tuple"][-1],
                )
                sample, time, text, skip = (
                    value[-pictures:].to(dtype) for value in values
                )  # of a half-precision U-Net
                with torch.no_grad():
                    made = generator.to(sample.device)(index, Features(sample, time, text, (skip,), False), None)
                _set(
                    applied,
                    {name: each if each.ndim == 2 else each.repeat(halves, 1, 1) for name, each in made.items()},
                )

            return before

        for index in sorted({site.block for site in applied.masked.sites}):
            block = applied.masked.unet.up_blocks[index]
            applied.hooks.append(block.register_forward_pre_hook(make(index), with_kwargs=True))

    return put_on


def _set(applied: Applied, masks: Mapping[str, Tensor]) -> None:
    for name, mask in masks.items():
        layer = applied.masked.layers[name]
        layer.mask = mask.to(layer.weight.device, layer.weight.dtype)
