"""What a folder's scheduler_config.json asks for: its noise schedule is taken, the way of sampling is ours.

Pictures are sampled by DPM-Solver++ at evenly spaced timesteps whatever the folder says. What its maker chose otherwise
is told in one sentence, and nothing where no choice was made: Stable Diffusion itself comes with PNDM or DDIM. A model
that was distilled for a few steps is sampled by first-order steps at trailing timesteps, which is Euler.
"""

import inspect
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from maskunet.diffusion import Schedule
from maskunet.prompts.words import shortened

CONFIG = "scheduler_config.json"
LEAST_SIGNAL = 2**-24  # alpha_bar where a schedule has none, in diffusers' DPM-Solver++, too
DISTILLED = ("LCMScheduler", "TCDScheduler")  # of consistency models: a few steps, each with noise of its own
FEW_STEPS, NO_GUIDANCE = 4, 1.0  # their own, where nobody asks for others
PLAIN = ("", "PNDMScheduler", "DDIMScheduler", "DPMSolverMultistepScheduler")
TAKEN = (
    "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type",
    "rescale_betas_zero_snr",
)  # fmt: skip
# What leaves these pictures as they are: diffusers' pipelines overrule it, or it concerns another setting or the last
# bit of noise. Of “leading”, which is Stable Diffusion's, and “trailing” the timesteps are as evenly spaced as ours.
ANY = (
    "steps_offset", "set_alpha_to_one", "skip_prk_steps", "clip_sample", "clip_sample_range", "sample_max_value",
    "dynamic_thresholding_ratio", "lower_order_final", "euler_at_final", "lambda_min_clipped", "flow_shift",
    "time_shift_type", "disable_corrector", "original_inference_steps", "timestep_scaling", "snr_shift_scale",
)  # fmt: skip
OURS = {
    "timestep_spacing": ("linspace", "leading", "trailing"),
    "algorithm_type": ("dpmsolver++", "deis"),
    "solver_order": (2,),
    "solver_type": ("midpoint", "logrho", "bh1", "bh2"),
    "final_sigmas_type": ("zero",),
    "interpolation_type": ("linear",),
    "timestep_type": ("discrete",),
    "variance_type": ("fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log"),
    "predict_x0": (True,),
}


def read(folder: Path, *, few_steps: bool = False) -> tuple[Schedule, str]:
    """A model's noise schedule, and one sentence on what else its scheduler asks for, or nothing.

    Args:
        folder: of the model. few_steps: as of `of`.

    Raises:
        ValueError: it cannot be read, is of another kind of model, or ends where noise tells nothing.
    """
    config = _config(folder / "scheduler" / CONFIG, _called(folder.name))
    return of(config, folder.name, few_steps=few_steps), note(config, few_steps=few_steps)


def is_distilled(folder: Path) -> bool:
    """Whether a folder's scheduler is one of DISTILLED; False where none can be read."""
    try:
        return _kind(_config(folder / "scheduler" / CONFIG, "scheduler")) in DISTILLED
    except ValueError:
        return False


def of(config: Mapping[str, Any], name: str, *, few_steps: bool = False) -> Schedule:
    """The noise schedule of a configuration.

    Args:
        name: of the folder or file, for messages. few_steps: the model was distilled for them, whatever its scheduler.

    Raises:
        ValueError: as `read`.
    """
    schedule = _schedule(name, _alphas(config, _called(name)), config.get("prediction_type", "epsilon"))
    distilled = _kind(config) in DISTILLED
    return replace(schedule, few_steps=few_steps or distilled, scales_noise=few_steps and not distilled)


def _called(name: str) -> str:
    return f"scheduler of “{name}”"


def note(config: Mapping[str, Any], *, few_steps: bool = False) -> str:
    """What a configuration asks for and does not get, one sentence, or empty."""
    kind, asked = _kind(config), []
    few_steps |= kind in DISTILLED
    for name, value in config.items():
        known = name.startswith("_") or name in (*TAKEN, *ANY)
        if not known and value not in (None, False, *OURS.get(name, ())):
            asked.append(f"{name} {value if isinstance(value, str) else json.dumps(value):.40}")
    if (kind in PLAIN or (few_steps and kind == "EulerDiscreteScheduler")) and not asked:
        return ""
    if few_steps:
        ours = "Euler at trailing timesteps, without fresh noise,"
    else:
        ours = "DPM-Solver++ at evenly spaced timesteps"
    wish = " with ".join(filter(None, (kind, ", ".join(asked))))
    return f"The model's {CONFIG} asks for {shortened(wish, 200)}; pictures here are sampled by {ours} instead."


def _kind(config: Mapping[str, Any]) -> str:
    return str(config.get("_class_name") or "")


def _config(path: Path, what: str) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"The {what} cannot be read: {CONFIG} is damaged. Download it again.") from error
    if not isinstance(config, dict):
        raise ValueError(f"The {what} cannot be read: {CONFIG} is no JSON object. Download it again.")
    return config


def _alphas(config: Mapping[str, Any], what: str) -> Any:
    """alpha_bar of every training timestep, as diffusers computes it."""
    import diffusers

    kind = getattr(diffusers, _kind(config), None)
    betas = {"beta_start", "trained_betas"}
    if inspect.isclass(kind) and not betas & {*config, *inspect.signature(kind.__init__).parameters}:
        raise ValueError(
            f"The {what} is {_kind(config)}, which has no noise schedule of betas: this is another kind of model. Give a "
            "text-to-image Stable Diffusion 1.x or 2.x folder."
        )
    given = {name: config[name] for name in TAKEN if name in config}
    try:
        return diffusers.DDIMScheduler(**given).alphas_cumprod
    except Exception as error:
        raise ValueError(
            f"The {what} has values that make no noise schedule, such as beta_schedule "
            f"“{config.get('beta_schedule', 'linear')!s:.40}”. Known are linear, scaled_linear and squaredcos_cap_v2, "
            "with numbers for beta_start and beta_end."
        ) from error


def _schedule(name: str, alphas: Any, prediction: str) -> Schedule:
    """The noise schedule; one that ends in nothing but noise stops just before it, as diffusers' DPM-Solver++ does."""
    if not ((alphas >= 0) & (alphas <= 1)).all():
        raise ValueError(f"The noise schedule of “{name}” leaves the range 0 to 1. Download the folder again.")
    if alphas[-1] < LEAST_SIGNAL and prediction == "epsilon":
        raise ValueError(
            f"The noise schedule of “{name}” ends in nothing but noise (rescale_betas_zero_snr), where noise "
            "tells nothing of the picture, yet prediction_type is epsilon. Such models predict v: set v_prediction, or "
            f"rescale_betas_zero_snr to false, in scheduler/{CONFIG}."
        )
    return Schedule(alphas_cumprod=alphas.clamp(min=LEAST_SIGNAL), prediction_type=prediction)
