"""SynGen: before a step, move the latents so that a noun and its modifiers are looked at in one place."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor

from maskunet.methods.base import MethodSpec, Predict, Prediction, Sampled, Sampling, Solver
from maskunet.methods.base.attention import PIECES, CrossAttentionMaps, binding_loss, gradient_step, map_size
from maskunet.methods.base.guidance import prompt_half
from maskunet.models.base import DiffusionModel
from maskunet.plugins import setting
from maskunet.prompts.groups import groups_of
from maskunet.prompts.tokens import locate


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings(Solver):
    """How far and how long the latents are moved.

    Attributes:
        groups: such as "red cube; blue sphere", nouns last; empty to read them off the prompt.
        scale: length of a move.
        moved: share of the steps before which the latents are moved; published: 25 of 50.
        pieces: of a word of several pieces, what counts against other words; published: the largest.
    """

    groups: str = setting("", "groups, with “;” between them; empty: the prompt's")
    scale: float = setting(20.0, "length of a move of the latents", low=0.0, high=1000.0)
    moved: float = setting(0.5, "share of the steps with a move", low=0.0, high=1.0)
    pieces: str = setting("mean", "of a word's pieces, what counts against others", choices=PIECES)


@contextmanager
def looking(model: DiffusionModel, sampling: Sampling, settings: Settings) -> Iterator[Predict]:
    """The plain U-Net on moved latents."""
    (request,) = sampling.requests
    found = locate(groups_of(request.prompt, settings.groups), request.prompt, model.tokenizer)
    size, moves = map_size(model.unet, model.latent_shape[1:]), round(settings.moved * len(sampling.pairs))

    def predict(step: int, t: int, x_t: Tensor) -> Prediction:
        def unbound(x_t: Tensor) -> Tensor:
            with CrossAttentionMaps(model.unet, size) as maps:
                model.predict(x_t, t, sampling.text)
            return binding_loss(maps.mean()[0], found.groups, found.words, settings.pieces)

        loss, calls = None, 1
        if step < moves:
            x_t, loss = gradient_step(x_t, unbound, settings.scale)
            calls += prompt_half(sampling.guidance)
        told = {"loss": loss, "note": "" if step else found.cut}
        return Prediction(x_t, sampling.plain(x_t, t), [told], calls)

    yield predict


SPEC = MethodSpec(
    name="syngen",
    title="SynGen",
    kind="rival",
    summary="Moves the latents so that each noun and its modifiers are attended to in one place.",
    source="SynGen (Rassin et al. 2023), Linguistic binding in diffusion models",
    raced=("/gentle", ""),
    presets={"published": Settings(pieces="largest"), "gentle": Settings(scale=5.0, pieces="largest")},
    run=Sampled(looking, shares=lambda settings: False),
)
