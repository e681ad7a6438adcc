"""What a checkpoint's U-Net predicts, noise or v: the weights do not say, so the file's header does, or it is measured."""

from typing import Any, NamedTuple

import torch

from maskunet.models.base.model import DiffusionModel
from maskunet.models.base.single_file.header import Header

TITLES = {"epsilon": "noise", "v_prediction": "v"}
METADATA = "modelspec.prediction_type"  # as model sites write it
KOHYA = "ss_v_parameterization", "ss_zero_terminal_snr"  # as the usual trainer writes it
MARKERS = "v_pred", "ztsnr"  # empty tensors that say so by their names, as ComfyUI and A1111 read them
TIMES = (999, 950, 900)
SIDE = 32  # of the latents that are looked at
HALF = 0.5


class Said(NamedTuple):
    """What is predicted, empty where nothing says; why this is believed; whether the schedule ends in nothing but noise."""

    type: str
    why: str
    ends_in_noise: bool = False


def said(header: Header, kind: str) -> Said:
    """What a file says of itself; of Stable Diffusion 1.x every model that says nothing predicts noise."""
    known, (v_pred, ztsnr) = header.metadata, MARKERS
    noisy = ztsnr in header.shapes or known.get(KOHYA[1]) == "True"
    if v_pred in header.shapes:
        return Said("v_prediction", f"its marker “{v_pred}” says so", noisy)
    written = {"epsilon": "epsilon", "v": "v_prediction", "v_prediction": "v_prediction"}.get(known.get(METADATA, ""))
    trained = {"True": "v_prediction", "False": "epsilon"}.get(known.get(KOHYA[0], ""))
    if found := written or trained:
        return Said(found, f"its metadata say so ({METADATA if written else KOHYA[0]})", noisy)
    if noisy:
        return Said("v_prediction", "its schedule ends in nothing but noise, where noise tells nothing", noisy)
    return Said("epsilon", "the file does not say, and this kind does") if kind == "sd1" else Said("", "")


def asked(says: Said) -> dict[str, Any]:
    """The entries of a scheduler's configuration."""
    return {"prediction_type": says.type or "epsilon", "rescale_betas_zero_snr": says.ends_in_noise}


@torch.no_grad()
def measured(model: DiffusionModel) -> Said:
    """What a model predicts, by its answer to noise alone.

    Where nearly nothing of a picture is left, noise is its input, so that a model of noise gives back what it got, and
    one of v, which is then minus the picture, something else.
    """
    text, found = model.encode_prompts([""]), []
    generator = torch.Generator().manual_seed(0)
    for t in TIMES:
        noise = torch.randn((1, model.latent_shape[0], SIDE, SIDE), generator=generator).to(model.device, model.dtype)
        output = model.unet(noise, t, **text.arguments).sample
        found.append(torch.corrcoef(torch.stack((noise.float().flatten(), output.float().flatten())))[0, 1])
    alike = float(torch.stack(found).mean())
    which = "epsilon" if alike > HALF else "v_prediction"
    return Said(
        which, f"measured, as the file does not say (its answer to noise is like the noise by {alike:.2f} of 1)"
    )
