"""Training-free MaskUNet: at every timestep, find a mask that raises the rewards of the predicted image.

MaskUNet (CVPR 2025), section 3.3, Eq. 8-10 and Algorithm 1:
prompt -> latents -> mask -> eps -> x0 -> image -> reward -> gradient -> mask.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from maskunet.diffusion import denoise
from maskunet.masks import mask
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.methods.base import (
    MethodSpec,
    Reporter,
    RewardWeights,
    check_sites,
    decoder_part,
    finish,
    guidance_of,
    mask_generator,
    recomputed,
    rest,
    steps_of,
    weights_of,
)
from maskunet.methods.maskunet_free.cuda_graph import Pool
from maskunet.methods.maskunet_free.room import sites_for
from maskunet.methods.maskunet_free.search import Move, Search, stay
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(RewardWeights):
    """What Algorithm 1 leaves open, and where the published code differs from it.

    Attributes:
        updates: gradient updates per step (lambda), and `early_updates` in the first `early_steps`.
        use_updated: look once more after the last update and go on with that mask; otherwise the
            last update of a step is never used, as in the published code.
        keep_best: go on with the step's best mask by the rewards instead of its last.
        removes: share of the weights that an update removes, those that promise the most (`mask.Removal`); 0 leaves
            the update to AdamW.
        learning_rate: AdamW's. start: the logits at the beginning of each step.
        warm_start: keep the logits from step to step. keep_moments: keep AdamW's moments over resets.
        noise: of the Gumbel-sigmoid, "one_sided", "logistic" or "none"; `common_noise` draws it once
            per step instead of at every update.
        hinge: the first reward stops counting above it; 100 is never.
        views: pictures the rewards look at per update: the image itself, then shifted, noisy copies.
        tiny_decoder: the rewards look through the model's tiny decoder; the final picture is the full one's.
        low_memory: recompute in the backward pass what would be kept for it, with the same gradients.
        sites: a selection of where masks may be, such as all, cross or block1; empty for as many as memory has room for.
    """

    updates: int = setting(15, "updates per step", low=0, high=100)
    early_updates: int = setting(15, "updates in early steps", low=0, high=100)
    early_steps: int = setting(0, "number of early steps", low=0, high=100)
    use_updated: bool = setting(True, "use the mask after the last update")
    keep_best: bool = setting(False, "go on with the best mask of each step")
    removes: float = setting(0.0, "share removed at once; 0 for AdamW", low=0.0, high=1.0)
    learning_rate: float = setting(1e-2, "learning rate of the logits", low=1e-5, high=10.0)
    start: float = setting(1.0, "first value of the logits", low=-10.0, high=10.0)
    warm_start: bool = setting(False, "keep the logits between steps")
    keep_moments: bool = setting(False, "keep AdamW's moments over resets")
    noise: str = setting("one_sided", "mask noise", choices=mask.NOISE_KINDS)
    common_noise: bool = setting(False, "one noise for all updates of a step")
    hinge: float = setting(100.0, "ImageReward counts below this", low=-100.0, high=100.0)
    views: int = setting(1, "pictures scored per update", low=1, high=8)
    tiny_decoder: bool = setting(False, "faster: look through the tiny decoder", cost=True)
    low_memory: bool = setting(False, "less memory: recompute instead of remembering", cost=True)
    sites: str = setting("", "where masks may be, such as block1 or cross; empty: as memory allows")

    def __post_init__(self) -> None:
        check_sites(self.sites)


def run(
    model: DiffusionModel,
    rewards: WeightedRewards,
    request: Request,
    settings: Settings,
    move: Move = stay,
) -> Iterator[StepEvent]:
    """Optimize one set of masks per timestep (Algorithm 1); one event per update and a final one.

    Args:
        move: what another method does to the step's latents at each update, under the update's masks.
    """
    report = Reporter(model, len(steps_of(model, request)), request)
    x0 = yield from _optimized(model, rewards, request, settings, move, report)
    yield finish(model, rewards, request, report, x0)  # it needs what the search held, on a small card


def _optimized(
    model: DiffusionModel,
    rewards: WeightedRewards,
    request: Request,
    settings: Settings,
    move: Move,
    report: Reporter,
) -> Generator[StepEvent, None, Tensor]:
    """Algorithm 1 without its last picture: an event per update; returns the clean latents."""
    pairs, guidance = steps_of(model, request), guidance_of(model, request, settings)
    weights = weights_of(settings, rewards)
    judges = rewards.optimizing(weights)
    sites, report.said = sites_for(model, rewards, settings)
    text = model.encode(request.prompt, request.negative_prompt)
    if settings.low_memory:
        rest(*model.text_encoders, *rewards.text_towers(request.prompt))
    replays = model.replayable and not settings.low_memory
    with (
        MaskedUNet(model.unet, sites, checkpointing=settings.low_memory) as masked,
        recomputed(model.vae, settings.low_memory),
    ):
        logits = {s.name: torch.full(s.shape, settings.start, device=model.device) for s in masked.sites}
        search = Search(
            model=model, masked=masked, request=request, settings=settings, move=move, logits=logits,
            text=text, guidance=guidance, weights=weights, generator=mask_generator(request), report=report,
            rewards=partial(checkpoint, judges, use_reentrant=False) if settings.low_memory else judges,
            pool=Pool(model.device) if replays else None,
        )  # fmt: skip
        optimizer = None

        def look(step: int, t: int, x_t: Tensor) -> Generator[StepEvent, None, tuple[Tensor, Tensor]]:
            nonlocal optimizer
            if step == 0 or not settings.warm_start:
                optimizer = _reset(logits, optimizer, settings)
            # A step's last gradient counts only for what the next step takes over from it.
            last_too = (settings.warm_start or settings.keep_moments) and step + 1 < len(pairs)
            chosen = yield from search.step(step, t, x_t, optimizer, last_too)
            return chosen.z_t, chosen.x0

        noise = model.noise(request.seed)
        return (yield from denoise(model.schedule, pairs, noise, look, second_order=settings.second_order))


def _reset(
    logits: dict[str, Tensor], optimizer: torch.optim.Optimizer | mask.Removal | None, settings: Settings
) -> torch.optim.Optimizer | mask.Removal:
    """Fresh logits, in place, and what moves them, a fresh AdamW unless its moments are to survive."""
    with torch.no_grad():
        for value in logits.values():
            value.fill_(settings.start)
            value.grad = None
    if optimizer is not None and settings.keep_moments:
        return optimizer
    moving = [v.requires_grad_() for v in logits.values()]
    if settings.removes:
        return mask.Removal(moving, settings.removes)
    return torch.optim.AdamW(moving, lr=settings.learning_rate, fused=True)


PAPER = Settings()
OFFICIAL = Settings(
    updates=10,
    early_updates=1,
    early_steps=7,
    use_updated=False,
    keep_moments=True,
    second_order=False,
    hinge=2.0,
)
IMPROVED = Settings(updates=1, keep_best=True, noise="none", removes=0.001, views=2)

SPEC = MethodSpec(
    name="maskunet_free",
    title="MaskUNet, training-free",
    kind="masks",
    summary="Optimizes a mask at every timestep so that two reward models like the predicted image more.",
    source="MaskUNet (CVPR 2025), section 3.3, Algorithm 1",
    raced=("/official", "/improved", "/improved_fast"),
    presets={
        "official": OFFICIAL,
        "paper": PAPER,
        "improved": IMPROVED,
        "improved_fast": replace(IMPROVED, tiny_decoder=True),
        "fifty": replace(PAPER, updates=49, keep_best=True),
    },
    run=run,
    parts=decoder_part,
)
