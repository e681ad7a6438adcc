"""SynGen and MaskUNet together: SynGen's move of the latents inside the training-free search for a mask.

At every update the latents of the step are moved once, under that update's masks, before the mask's own
gradient is taken.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace

from torch import Tensor

from maskunet.encoders.text_states import TextStates
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.methods.base import MethodSpec, decoder_part, steps_of
from maskunet.methods.base.attention import PIECES, CrossAttentionMaps, binding_loss, gradient_step, map_size
from maskunet.methods.base.guidance import guidance_of, prompt_half
from maskunet.methods.maskunet_free import method as maskunet_free
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.prompts.groups import groups_of
from maskunet.prompts.tokens import locate
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(maskunet_free.Settings):
    """Those of the training-free method, and of SynGen's move.

    Attributes:
        groups: such as "red cube; blue sphere", nouns last; empty to read them off the prompt.
        scale: length of a move.
        moved: share of the steps with moves; published: all, since 25 is more than its 15 steps.
        pieces: of a word of several pieces, what counts against other words; published: the largest.
    """

    groups: str = setting("", "groups, with “;” between them; empty: the prompt's")
    scale: float = setting(20.0, "length of a move of the latents", low=0.0, high=1000.0)
    moved: float = setting(1.0, "share of the steps with moves", low=0.0, high=1.0)
    pieces: str = setting("mean", "of a word's pieces, what counts against others", choices=PIECES)


def run(model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Settings) -> Iterator[StepEvent]:
    """Optimize masks on moved latents; one event per update and a final one."""
    timesteps, guidance = [t for t, _ in steps_of(model, request)], guidance_of(model, request, settings)
    # Published code differs: it keeps the first prompt's groups for all later prompts.
    found = locate(groups_of(request.prompt, settings.groups), request.prompt, model.tokenizer)
    size = map_size(model.unet, model.latent_shape[1:])

    def move(
        masked: MaskedUNet, step: int, x_t: Tensor, text: TextStates, masks: Mapping[str, Tensor]
    ) -> tuple[Tensor, float]:
        if step >= round(settings.moved * len(timesteps)):
            return x_t, 0
        fixed = {name: each.detach() for name, each in masks.items()}

        def unbound(x_t: Tensor) -> Tensor:
            masked.decode(masked.encode(x_t, timesteps[step], text.conditional), fixed)
            return binding_loss(maps.mean()[0], found.groups, found.words, settings.pieces)

        # On until the gradient is there: with little memory the backward pass computes the attention again.
        with CrossAttentionMaps(model.unet, size) as maps:
            return gradient_step(x_t, unbound, settings.scale)[0], prompt_half(guidance)

    with closing(maskunet_free.run(model, rewards, request, settings, move)) as events:
        first = next(events)
        yield replace(first, note=first.note or found.cut)
        yield from events


def _with_moves(preset: maskunet_free.Settings, **moves: float) -> Settings:
    return Settings(**asdict(preset), pieces="largest", **moves)


SPEC = MethodSpec(
    name="syngen_maskunet",
    title="SynGen + MaskUNet",
    kind="masks",
    summary="Binds modifiers to their nouns as SynGen does while it searches for a mask that the rewards like.",
    source="MaskUNet (CVPR 2025), section 4.3, on SynGen (Rassin et al. 2023)",
    raced=("/gentle",),
    presets={
        **{name: _with_moves(preset) for name, preset in maskunet_free.SPEC.presets.items()},
        "gentle": _with_moves(maskunet_free.OFFICIAL, scale=5.0),
    },
    run=run,
    parts=decoder_part,
)
