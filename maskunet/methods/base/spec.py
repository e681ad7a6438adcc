"""What every method is: its SPEC, its settings from preset and overrides, and the trained file it may use."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from maskunet import plugins
from maskunet.methods.base.settings import RewardWeights, sees_all, weights_of
from maskunet.models.base import DiffusionModel
from maskunet.prompts.words import shortened
from maskunet.records import Request, StepEvent
from maskunet.records.added import check, written
from maskunet.records.disk.hub import file_hash
from maskunet.records.run import STEERED_BY
from maskunet.rewards.base import WeightedRewards

KINDS = ("masks", "control", "rival")  # in the order in which methods are offered


class Run(Protocol):
    """A method: closing the iterator stops the work and leaves the model as it was."""

    def __call__(
        self, model: DiffusionModel, rewards: WeightedRewards, request: Request, settings: Any
    ) -> Iterator[StepEvent]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodSpec:
    """A method's name, its settings (a frozen dataclass), its presets, and how to run it.

    The first preset is the default. `source` names the paper or code it follows. `takes` tells which setting names
    a trained file, and of which kind (`trained_file.kinds`). `parts` names the files that a model and settings make
    it use besides the model's own: they belong to what a run was made with. `raced` are its entrants of a race, each
    as what follows its name: "" or "/preset" or "@guidance". `most_steps` is how many it takes at most where a request
    leaves them open, 0 for the model's own number, `least_steps` how few its settings allow. `kind` is one of KINDS: masks that are learned, what any claim for
    them must beat, or what a user might take instead.
    """

    name: str
    title: str
    kind: str
    summary: str
    source: str
    presets: Mapping[str, Any]
    run: Run
    parts: Callable[[DiffusionModel, Any], Mapping[str, Path]] = lambda model, settings: {}
    raced: tuple[str, ...] = ("",)
    takes: Mapping[str, str] = field(default_factory=dict)
    most_steps: int = 0
    least_steps: Callable[[Any], int] = lambda settings: 1

    @property
    def needs_rewards(self) -> bool:
        """Whether rewards steer it; its settings weigh them then. Any other method draws without."""
        return isinstance(next(iter(self.presets.values())), RewardWeights)

    def shares(self, settings: Any) -> bool:
        """Whether several requests may share their U-Net calls, see `Sampled`."""
        return hasattr(self.run, "together") and self.run.shares(settings)

    def weights(self, model: DiffusionModel, settings: Any, rewards: WeightedRewards) -> dict[str, str]:
        """SHA-256 of all weights that decide a picture: the model's, trained ones, and the rewards' that steer it."""
        trained = {f"trained/{name}": file_hash(path) for name, path in self.parts(model, settings).items()}
        return {**model.weights, **trained, **self._steering(settings, rewards)}

    def _steering(self, settings: Any, rewards: WeightedRewards) -> dict[str, str]:
        if not self.needs_rewards or not isinstance(rewards, WeightedRewards):
            return {}
        counts, every = weights_of(settings, rewards), sees_all(settings)
        return {f"{STEERED_BY}{name}": digest for name, digest in rewards.hashes.items() if every or counts[name]}

    def settings(self, preset: str = "", overrides: Mapping[str, Any] | None = None) -> Any:
        """The preset's settings with single values replaced.

        Raises:
            ValueError: no such preset or setting, or a value out of the range in its metadata.
        """
        return plugins.chosen(self.presets, self.name, preset, overrides)

    def taking_over(self, settings: Any) -> dict[str, Any]:
        """Which of another method's settings this one has too, such as its solver, so that nothing else differs."""
        mine = {each.name for each in fields(self.settings())}
        return {each.name: getattr(settings, each.name) for each in fields(settings) if each.name in mine}


def trained_part(files: Mapping[str, Path], name: str, what: str, train: str) -> tuple[str, Path]:
    """The trained file of that name, or the first one, with its name.

    Args:
        what: what the files hold. train: the command that makes one.

    Raises:
        ValueError: there is none, or it is gone; says what to do.
    """
    if not files:
        raise ValueError(f"There is no trained {what} for this model here. Train one with “{train}”.")
    name = name or next(iter(files))
    if name not in files:
        raise ValueError(f"There is no {what} “{shortened(name)}”. There are: {', '.join(files)}.")
    if not files[name].is_file():
        raise ValueError(f"The file of the {what} “{name}” is gone. Choose another one.")
    return name, files[name]


def decoder_part(model: DiffusionModel, settings: Any) -> Mapping[str, Path]:
    """The tiny decoder's file, where the settings ask for it; a `parts` of `MethodSpec`."""
    return {"tiny_decoder": model.tiny_decoder_file()} if settings.tiny_decoder else {}


def read_part(
    model: DiffusionModel, path: Path, read: Callable[[Path, nn.Module, Mapping[str, str]], nn.Module]
) -> nn.Module:
    """What a trained file holds, on the model's device, read once per file."""
    key = path, path.stat().st_mtime_ns  # a training may have written it anew
    if key not in model.cache:
        model.cache[key] = read(path, model.unet, model.weights).to(model.device)
    return model.cache[key]


def filled(request: Request, spec: MethodSpec, model: DiffusionModel) -> Request:
    """The request with every `None` and empty name replaced by the value that will be used, its settings as files hold them.

    Raises:
        ValueError: it asks for LoRA files or embeddings that are not on the model.
    """
    check(request.added, model.added)
    preset = request.preset or next(iter(spec.presets))
    known = {card.name: card for card in plugins.cards(spec.presets[preset])} if preset in spec.presets else {}
    return replace(
        request,
        settings={
            key: plugins.plain(known[key], value) if key in known else value for key, value in request.settings.items()
        },
        model=model.name,
        **_added(model),
        preset=preset,
        steps=request.steps or min(model.steps, spec.most_steps or model.steps),
        guidance=model.guidance if request.guidance is None else request.guidance,
    )


def _added(model: DiffusionModel) -> dict[str, Any]:
    """What is put on the model, as the fields of a request."""
    loras, embeddings, way = model.added
    return {
        "loras": tuple(written(*each) for each in loras),
        "embeddings": tuple(written(*each) for each in embeddings),
        "lora_masks": way,
    }
