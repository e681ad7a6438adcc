"""The studio's part for training: one training at a time, in a process of its own, told to any number of pages.

It works beside the pictures that pages make, at a lower priority on the processor: both take longer then.
"""

import re
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from maskunet import plugins
from maskunet.methods import SPECS as METHODS
from maskunet.methods import method_for
from maskunet.models import SPECS as MODELS
from maskunet.records.disk import trained_file, whole
from maskunet.records.training import BaseSamples, Preparing, RecipeCard, TrainEvent, TrainRequest, TrainState
from maskunet.studio import given_pictures, training_process
from maskunet.studio.process import Died, Process
from maskunet.studio.training_process import Place
from maskunet.training import checkpoint
from maskunet.training.recipes import SPECS
from maskunet.training.recipes.base import RecipeSpec, Settings

ORDER = (
    "mask_generator",
    "lora",
    "full",
    "mask_reward",
    "lora_reward",
    "mask_preference",
    "lora_preference",
    "mask_best_of",
)  # as the page offers them; other recipes follow
SHORT = {  # what a page may ask for
    "steps": {"low": 1, "high": 5000, "help": "optimizer steps"},  # so that epochs do not count
    "batch": {"low": 1, "high": 256},
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
LONGEST = 1000  # steps of a preset that a page offers
SHEETS = 8  # checkpoints whose samples are kept in memory
EARLY = ("loading", "preparing")  # phases before the first step
PERIOD = 1.0  # seconds between two looks of a page
DIED = "The training ended before it was done, most likely for lack of memory. Take a smaller batch."


class TrainStudio:
    """Starts and stops trainings on tabletop scenes, and tells how the newest one goes.

    Args:
        place: of the base model.
        folder: of what is trained, by the model's name; the `trained` of a `Library`.
    """

    def __init__(self, place: Place, folder: Path = Path("trained")):
        self._place, self._trained = place, folder
        self._news = threading.Condition()
        self._state: TrainState | None = None
        self._work: tuple[Process, threading.Thread] | None = None  # and who listens to it
        self._began = 0.0
        self._pictures: Path | None = None  # a folder with copies of the user's own, while a training learns from them

    def bases(self) -> dict[str, str]:
        """The titles of the base models that can be trained here: those whose pictures are tabletop scenes, by name."""
        return {name: spec.title for name, spec in MODELS.items() if spec.embedded}

    def recipes(self) -> list[RecipeCard]:
        """The ways of training, with those of their presets that are short enough for a page."""
        names = sorted(SPECS, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
        return [_card(SPECS[name]) for name in names if _short(SPECS[name])]

    def start(self, request: TrainRequest) -> None:
        """Begin a training.

        Raises:
            ValueError: one is running, the name cannot be used, or a setting is not allowed; one sentence.
        """
        chosen = self._checked(request)
        out = self._out(request)
        own = SPECS[request.recipe].own_pictures
        with self._news:
            if self._state is not None and not self._state.over:
                raise ValueError(f"The training “{self._state.request.name}” is running. Stop it, or wait for its end.")
            self._pictures = given_pictures.kept(request.pictures) if own else None
            process = Process(
                training_process.serve, self._place, request.model, request.recipe, chosen, out,
                self._pictures, died=DIED,
            )  # fmt: skip
            listener = threading.Thread(target=self._listen, args=(process,), daemon=True)
            self._state, self._began = TrainState(request=request), time.monotonic()
            self._work = process, listener
            listener.start()

    def stop(self) -> None:
        """End the training after its current step and keep it; before the first step nothing is kept.

        Raises:
            ValueError: none is running.
        """
        with self._news:
            if self._state is None or self._state.over:
                raise ValueError("No training is running.")
            if self._state.phase == "stopping":
                return
            process, _ = self._work
            if self._state.events:
                process.stop()
            else:
                process.kill()  # nothing is learned yet; pictures that were made to learn from stay
            self._publish(phase="stopping")

    def follow(self) -> Iterator[TrainState]:
        """The newest training now and once a second until it is over; nothing if there was none."""
        state = self._state
        while state is not None:
            known = state if state.over else replace(state, seconds=time.monotonic() - self._began)
            yield known
            if known.over:
                return
            with self._news:
                self._news.wait_for(lambda: self._state.over, timeout=PERIOD)
                state = self._state

    def archive(self) -> Path:
        """One zip of the newest training: its trained part, what it was trained on, and its curve.

        Raises:
            ValueError: nothing of it is kept.
        """
        from visualize import SPECS as PLOTS

        state, out = self._state, self._kept_out()
        path = out / f"{state.request.name}.zip"
        curve = out / "training_curve.svg"
        PLOTS["training_curve"].draw(state.events).savefig(curve)
        with whole.file(path) as fresh, zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in (out / checkpoint.PART, out / checkpoint.ABOUT, curve):
                archive.write(file, file.name)
        return path

    def log(self) -> Path:
        """The newest training's log.csv: one row per step.

        Raises:
            ValueError: nothing of it is kept.
        """
        return self._kept_out() / checkpoint.LOG

    def trained(self, method: str, model: str) -> list[str]:
        """The names of what came with this model or was trained here, and can be chosen in this method."""
        if method not in METHODS or model not in MODELS:
            return []
        files = [(path.stem, path) for path in _shipped(model)]
        mine = sorted((self._trained / model).glob(f"*/{checkpoint.PART}"))
        known = trained_file.by_kind([*files, *((path.parent.name, path) for path in mine)])
        return [name for kind in METHODS[method].takes.values() for name in known.get(kind, {})]

    def close(self, patience: float = 30.0) -> None:
        """End the training; it saves what it reached if that takes no longer than `patience` seconds."""
        if self._work is None:
            return
        process, listener = self._work
        with suppress(ValueError):  # it is over
            self.stop()
        listener.join(patience)
        process.kill()  # the checkpoint before is whole
        listener.join()
        whole.tidy(self._out(self._state.request))

    def _kept_out(self) -> Path:
        if self._state is None or not self._state.saved:
            raise ValueError("Nothing of this training is kept yet. Wait for its first checkpoint.")
        return self._out(self._state.request)

    def _out(self, request: TrainRequest) -> Path:
        return self._trained / request.model / request.name

    def _checked(self, request: TrainRequest) -> Settings:
        """The settings of a request that may be started."""
        if request.recipe not in SPECS:
            raise ValueError(f"There is no recipe “{request.recipe}”. There are: {', '.join(SPECS)}.")
        if request.model not in self.bases():
            raise ValueError(f"“{request.model}” cannot be trained here. These can: {', '.join(self.bases())}.")
        chosen = plugins.chosen(_short(SPECS[request.recipe]), request.recipe, request.preset, request.settings)
        for card in _drawn(chosen):
            try:
                plugins.check(card, card.default)
            except ValueError as error:
                longer = "Longer trainings go by the command line: python -m maskunet train."
                raise ValueError(f"{error} {longer}") from error
        self._check_name(request)
        return chosen

    def _check_name(self, request: TrainRequest) -> None:
        name, out = request.name, self._out(request)
        if not NAME.fullmatch(name):
            raise ValueError(
                f"The name “{name[:40]}” cannot be used. Take 1 to 40 letters a to z, digits, “-” and “_”, "
                "a letter or digit first."
            )
        shipped = {path.stem for path in _shipped(request.model)}
        file = out.with_name(f"{name}.safetensors")
        if name in shipped or file.exists() or (out / checkpoint.PART).exists():
            raise ValueError(f"There is a training “{name}” already. Choose another name.")

    def _listen(self, process: Process) -> None:
        """Take in what the process says until it ends."""
        failed = ""
        try:
            for said in process.told():
                self._hear(said)
        except Died as error:
            failed = "" if self._state.phase == "stopping" else str(error)
        except ValueError as error:
            failed = str(error)
        process.close()
        if self._pictures is not None:
            shutil.rmtree(self._pictures, ignore_errors=True)
        with self._news:
            complete = self._state.events and self._state.events[-1].step == self._state.events[-1].steps
            ended = "done" if complete else "stopped"
            self._publish(phase="failed" if failed else ended, message=failed)

    def _hear(self, said: BaseSamples | Preparing | TrainEvent) -> None:
        with self._news:
            state = self._state
            if isinstance(said, BaseSamples):
                self._publish(base=said)
                return
            if isinstance(said, Preparing):
                self._publish(phase="preparing" if state.phase == "loading" else state.phase, prepared=said)
                return
            before = [event for event in state.events[-1:] if event.step < said.step]
            events = (*state.events[:-1], *before, replace(said, sheet=None))
            news: dict[str, Any] = {"events": events}
            if said.checkpoint:
                sheets = {**state.sheets, said.step: said.sheet}
                news |= {"sheets": dict(list(sheets.items())[-SHEETS:]), "saved": said.step}
            self._publish(phase="training" if state.phase in EARLY else state.phase, **news)

    def _publish(self, **news: Any) -> None:
        """Change the state; the lock is held."""
        self._state = replace(self._state, **news, seconds=time.monotonic() - self._began)
        self._news.notify_all()


def _shipped(model: str) -> list[Path]:
    """What came with a model, its own parts among them; their names are taken."""
    folder = MODELS[model].folder
    return sorted(folder.glob("*/*.safetensors")) if folder else []


def _short(spec: RecipeSpec) -> Mapping[str, Settings]:
    """The presets that count steps, not epochs over a large data set, and not thousands of them."""
    return {name: preset for name, preset in spec.presets.items() if 0 < preset.steps <= LONGEST}


def _card(spec: RecipeSpec) -> RecipeCard:
    presets = {name: _drawn(preset) for name, preset in _short(spec).items()}
    method = "" if spec.makes == trained_file.EMBEDDING else method_for(spec.makes).name
    return RecipeCard(
        name=spec.name, title=spec.title, summary=spec.summary, method=method, presets=presets,
        own_pictures=spec.own_pictures, word=spec.word,
    )  # fmt: skip


def _drawn(settings: Settings) -> tuple[plugins.FieldCard, ...]:
    """The fields of settings with the ranges of a page, which counts steps."""
    shown = [card for card in plugins.cards(settings) if card.name != "epochs"]
    return tuple(replace(card, **SHORT.get(card.name, {})) for card in shown)
