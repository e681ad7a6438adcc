"""The notebook's door: one model of this machine to make, compare, judge and train with.

Heavy imports wait inside the functions, so that a run can be read and drawn without torch.
"""

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

from maskunet.lab.kept_masks import KeptMasks
from maskunet.records import Request, Run, StepEvent
from maskunet.records.training import Preparing, TrainEvent

if TYPE_CHECKING:
    from maskunet.experiments.evaluate import Evaluation
    from maskunet.methods.base import MethodSpec
    from maskunet.models.base import DiffusionModel
    from maskunet.records.video import Video
    from maskunet.rewards.base import WeightedRewards
    from maskunet.runs.grid.made import MadeGrid

Work = TypeVar("Work", bound=Iterator)


class Asked(TypedDict, total=False):
    """What can be asked of a picture besides its prompt: the fields of `Request`, where each is explained."""

    negative_prompt: str
    seed: int
    method: str
    preset: str
    steps: int | None
    guidance: float | None
    settings: Mapping[str, Any]
    previews: bool
    statistics: bool
    keep_masks: bool


class Lab(KeptMasks):
    """One base model, loaded once, and what can be done with it; one thing at a time.

    Whatever is begun ends what was left in the middle, so that no mask stays on the model.

    Args:
        model: a base model's name, "auto" for the best one here, or a Stable Diffusion folder or .safetensors file.
        weights: folder or file of the model's weights, see `Library`.
        device: "cuda", "cuda:1", "mps", "cpu", or None for the best one here.
        loras, embeddings, lora_masks: files to put on the model, such as "FILE:0.8", "FILE:TOKEN"; see docs/own-models.md.

    Attributes:
        methods: the methods by name; add a `MethodSpec` of your own here.

    Raises:
        ValueError: no such model or device, or its weights are missing or damaged; says what to do.
    """

    methods: "dict[str, MethodSpec]"

    def __init__(
        self,
        model: str | Path = "auto",
        *,
        weights: str | Path | None = None,
        device: str | None = None,
        loras: Sequence[str | Path] = (),
        embeddings: Sequence[str | Path] = (),
        lora_masks: str = "merged",
    ):
        from maskunet import methods, models
        from maskunet.library.library import Library

        if weights is None and model not in ("auto", *models.SPECS) and Path(model).exists():
            model, weights = "auto", model
        added = {"loras": [*map(str, loras)], "embeddings": [*map(str, embeddings)], "lora_masks": lora_masks}
        self._library = Library(str(model), None if weights is None else Path(weights), device, **added)
        self._library.load(self._library.default, with_rewards=False)  # what is missing or damaged is told at once
        self._rewards: WeightedRewards | None = None
        self.methods = dict(methods.SPECS)
        self._begun: Iterator | None = None

    @property
    def model(self) -> "DiffusionModel":
        """The model; what was trained for it in the meantime is looked up."""
        return self._library.load(self._library.default, with_rewards=False).model

    @property
    def rewards(self) -> "WeightedRewards":
        """What scores the pictures, loaded when it is first needed; put `WeightedRewards` of your own here.

        False where the model's are not on this machine: nothing is scored then, and methods that rewards steer are
        refused.
        """
        return self._library.load(self._library.default).rewards if self._rewards is None else self._rewards

    @rewards.setter
    def rewards(self, rewards: "WeightedRewards") -> None:
        self._rewards = rewards

    def __repr__(self) -> str:
        return f"Lab({self.model.name!r}, device={str(self.model.device)!r})"

    def events(self, prompt: str | Request, **asked: Unpack[Asked]) -> Iterator[StepEvent]:
        """Make one picture and tell every update as it happens; the last event holds the result.

        Closing the iterator stops the work and leaves the model as it was.

        Args:
            prompt: what to draw, or a whole Request. asked: see `Asked`.

        Raises:
            ValueError: no such method, preset or setting, a value that is not allowed, or no rewards for a method that
                they steer.
        """
        from maskunet.methods import method_of
        from maskunet.methods.base import filled
        from maskunet.rewards.base import required

        request = self._request(prompt, asked)
        spec = method_of(request.method, self.methods)
        settings = spec.settings(request.preset, request.settings)
        rewards = required(self.rewards) if spec.needs_rewards else self.rewards
        return self._begin(spec.run(self.model, rewards, filled(request, spec, self.model), settings))

    def compare(self, prompt: str | Request, **asked: Unpack[Asked]) -> Run:
        """Make the unmasked picture and a method's from the same noise.

        Args:
            prompt: what to draw, or a whole Request. asked: see `Asked`.

        Raises:
            ValueError: as `events`.
        """
        from maskunet.runs.compare import compare

        request = self._request(prompt, asked)
        events = compare(self.model, self.rewards, request, methods=self.methods)
        with closing(self._begin(events)):
            ((_, run),) = deque(events, maxlen=1)  # the last one; the others may be hundreds of pictures
        return run

    def video(self, prompt: str | Request, *, out: str | Path | None = None, **asked: Any) -> "Video":
        """Make a short video of a prompt; `out` is a folder for it, None for none.

        Args:
            asked: fields of `records.video.Motion`, such as frames and right, and of `Asked`.

        Raises:
            ValueError: something that is not allowed; says what is.
        """
        from maskunet.records.video import motion_of
        from maskunet.runs.video import folder
        from maskunet.runs.video.make import make

        motion, others = motion_of(asked)
        if out is not None:
            folder.check_place(Path(out))
        with closing(self._begin(make(self.model, self.rewards, self._request(prompt, others), motion))) as events:
            (video,) = deque(events, maxlen=1)
        if out is not None:
            folder.write(video, Path(out))
        return video

    def grid(
        self,
        prompt: str | Request,
        *,
        x: str,
        y: str = "",
        z: str = "",
        out: str | Path | None = None,
        **asked: Unpack[Asked],
    ) -> "MadeGrid":
        """Make a picture for every value of up to three axes; a notebook shows the sheet with its labels.

        Args:
            prompt: what to draw where no axis has prompts, or a whole Request. asked: see `Asked`.
            x, y, z: what varies, as NAME=VALUES, such as "seed=1..8", "removed=0:.1:.02" or
                "method=plain,maskunet_free/improved"; see `runs.grid.axes.grid`.
            out: folder for the cells, the sheet and its tables. What is there is not made again. None for none.

        Raises:
            ValueError: an axis or a value that is not allowed; says which.
        """
        import tempfile

        from tqdm import tqdm

        from maskunet.records.grid import GridRequest
        from maskunet.runs.grid.axes import grid
        from maskunet.runs.grid.cells import CellFolder
        from maskunet.runs.grid.made import MadeGrid
        from maskunet.runs.grid.make import make

        axes = (self._here(each).partition("=") for each in (x, y, z) if each)
        given = tuple((name, values) for name, _, values in axes)
        wanted = GridRequest(request=self._request(prompt, asked), axes=given)
        planned = grid(wanted, self.methods, may_read=True)
        place = tempfile.TemporaryDirectory(prefix="maskunet-grid-") if out is None else None
        folder = Path(out if place is None else place.name)
        made = MadeGrid(planned, CellFolder(folder / "cells"), lambda name: self._library.spec(name).judge, place=place)
        cells = make(planned, made.cells, self._loaded, methods=self.methods)
        with closing(self._begin(cells)), tqdm(total=len(planned.cells), unit="image") as line:
            for numbers, cell in cells:
                made.take(numbers, cell)
                line.update(len(numbers))
        if out is not None:
            made.write(folder, wanted)
        return made

    def _loaded(self, name: str) -> "tuple[DiffusionModel, WeightedRewards]":
        """A base model for a grid, with this lab's rewards if it is this lab's."""
        if name == self._library.default:
            return self.model, self.rewards
        other = self._library.load(name)
        return other.model, other.rewards

    def evaluate(
        self,
        method: str,
        *,
        tasks: str = "all",
        n: int = 20,
        seed: int = 1,
        steps: int | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> "Evaluation":
        """Make n pictures of each tabletop task and let the checker, which nothing optimizes, judge them.

        Args:
            method: as in a race, method/preset:part@guidance, such as "maskunet_free/improved" or "plain@2.5".
            tasks: names with commas between them, or "all".
            seed: the same seed asks for the same prompts and noise, so that two evaluations can be paired; -1 draws one.
            steps: denoising steps; the default if None. settings: single values of the preset.

        Raises:
            ValueError: no such method, preset, setting or task, n is not at least 1, or there are no rewards.
        """
        from tqdm import tqdm

        from maskunet.experiments import evaluate, judges
        from maskunet.library.library import Loaded
        from maskunet.methods.base import filled
        from maskunet.records import seed_of
        from maskunet.runs.entrant import entrant

        if n < 1:
            raise ValueError(f"n is {n}; allowed is 1 or more.")
        chosen = entrant(self._here(method), self.methods)
        request = filled(chosen.request(self._request("-", {"steps": steps})), chosen.spec, self.model)
        request = replace(request, settings={**self._here(settings or {}), **chosen.named()})
        rows = evaluate.evaluate(
            judges.with_eyes(Loaded(model=self.model, rewards=self.rewards)),
            request,
            tasks=tasks,
            n=n,
            seed=seed_of(seed),
            methods=self.methods,
        )
        with closing(self._begin(rows)):
            return evaluate.Evaluation(tuple(tqdm(rows, unit="image")))

    def train(
        self,
        recipe: str,
        *,
        out: str | Path,
        preset: str = "",
        settings: Mapping[str, Any] | None = None,
        data: str | Path = "tabletop",
        latents: str | Path | None = None,
        minutes: float = math.inf,
        resume: bool = False,
    ) -> Iterator[TrainEvent | Preparing]:
        """Train a recipe on the model, one event per step; closing the iterator keeps what was reached.

        A recipe that makes pictures to learn from tells that first.

        Args:
            recipe: a name in `maskunet.recipes.SPECS`, with a preset of it and single settings.
            out: folder for the trained part and its log; what lies in trained/MODEL/NAME is offered to the methods.
            data: "tabletop", or a folder of pictures with captions, or a Parquet file with image and text.
            latents: folder of cached latents of the tabletop scenes.
            minutes: save and end after so long.
            resume: go on with the training in `out`; one that has had all its steps has no event.

        Raises:
            ValueError: an unknown recipe, preset or setting, or data that cannot be used.
        """
        from maskunet.plugins import chosen, named
        from maskunet.rewards.base import required
        from maskunet.training import loop, recipes, sources

        if not minutes > 0:
            raise ValueError(f"The number of minutes is {minutes}; it must be more than 0.")
        spec = named(recipes.SPECS, recipe, "recipe")
        values = chosen(spec.presets, spec.name, preset, settings)
        rewards = required(self.rewards) if spec.needs_rewards else None
        cached = None if latents is None else Path(latents)
        pairs, about = sources.find(str(data), self.model.pixels, cached, own_pictures=spec.own_pictures)
        events = loop.train(
            self.model, spec, values, pairs, Path(out), about=about, rewards=rewards, minutes=minutes, resume=resume
        )
        return self._begin(events)

    def _request(self, prompt: str | Request, asked: Asked) -> Request:
        whole = replace(prompt, **asked) if isinstance(prompt, Request) else None
        request = whole or Request(prompt=prompt, model=self.model.name, **asked)
        return replace(request, settings=self._here(request.settings))

    def _here(self, given: Any) -> Any:
        """What was given, with every hf://OWNER/NAME in it fetched."""
        from maskunet.records.disk import hub_parts

        return hub_parts.here(given, self._library.trained, self._library.default)

    def _begin(self, work: Work) -> Work:
        self._end()
        self._begun = work
        return work

    def _end(self) -> None:
        """There is one U-Net: end what was left in the middle, whose masks are still on."""
        if self._begun is not None:
            self._begun.close()
