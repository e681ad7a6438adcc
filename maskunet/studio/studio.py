"""The only door for a page: jobs one after another, plain data in and out, clear sentences."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from maskunet.library import additions
from maskunet.library.library import Library
from maskunet.machine import device_name
from maskunet.methods import SPECS, method_of
from maskunet.methods.base import MethodSpec
from maskunet.prompts.groups import parse
from maskunet.records import MAX_PROMPT, Card, JobEvent, Request, Run, Setup, Status
from maskunet.records.selection import Network
from maskunet.records.video import Motion
from maskunet.runs.command_line import command_line, of_video
from maskunet.runs.replay import as_made
from maskunet.studio import cards, doctor, setup, zero_gpu
from maskunet.studio.features import FeatureStudio
from maskunet.studio.grids import GridStudio
from maskunet.studio.process import kill_all
from maskunet.studio.queue import AGAIN, Job, Queue
from maskunet.studio.shelf import Shelf, checked
from maskunet.studio.training import TrainStudio
from maskunet.studio.training_process import Place
from maskunet.studio.videos import VideoStudio
from maskunet.studio.votes import VoteStudio
from maskunet.studio.wishes import INTERVENTIONS, Wishes
from maskunet.studio.work import DeviceWork, Ended

PATIENCE = 5.0  # seconds that work has to end in when the program is closed


class Studio:
    """Runs requests one at a time and tells any number of readers how they go.

    Args:
        runs: folder of the run folders, made if absent; 200 are kept, see `Shelf`.
        model: the default base model, or "auto" (see `Library`).
        weights: file or folder of the default model's weights, or None.
        models: a folder of the user's models to choose from, or None.
        device: "cuda", "mps", "cpu", or None for the best one here.
        max_waiting: requests that may wait besides the one that runs.
        limit_seconds: wall-clock limit of one request's work; its best so far is kept.
        library: the models to use; `model`, `weights`, `models` and `device` are ignored then.
        methods: the methods to use.
        images: folder whose folders of pictures `features` offers, or None.
        trains: whether pages may start trainings; for a computer that only its user reaches.
        votes: folder of a study that visitors vote in, or None.
        waits: do nothing before `begin` is called, so that a page answers before the libraries of models are loaded.

    Attributes:
        shelf: the runs on the disk.
        features: sets of pictures side by side, see `FeatureStudio`.
        grids: pictures over up to three axes, see `GridStudio`; None where the device is only lent.
        videos: plain and masked videos, see `VideoStudio`; None as `grids`.
        training: trainings on tabletop scenes, see `TrainStudio`; None where pages may not start any.
        votes: blind votes, see `VoteStudio`; None without a study.

    Raises:
        ValueError: no such model or device, `weights` holds no model, `images` is no folder, or `votes` no study.
    """

    def __init__(
        self,
        runs: Path,
        model: str = "auto",
        weights: Path | None = None,
        device: str | None = None,
        *,
        max_waiting: int = 16,
        limit_seconds: float = 900,
        library: Library | None = None,
        methods: Mapping[str, MethodSpec] = SPECS,
        images: Path | None = None,
        trains: bool = False,
        models: Path | None = None,
        votes: Path | None = None,
        waits: bool = False,
    ):
        self.shelf = Shelf(runs)
        self._weights = weights
        # A device that is lent is for single pictures of models that need it; all else is done beside it.
        aside = "cpu" if zero_gpu.is_here() else None
        self._library = library or Library(model, weights, device, models=models, for_page=True, aside=aside)
        here = aside or str(self._library.device)
        self.features = FeatureStudio(images=images, device=here)
        place = Place(model=self._library.default, weights=weights, device=here, models=models)
        self.training = TrainStudio(place) if trains else None
        self.votes = VoteStudio(votes) if votes else None
        self._networks: dict[str, Network] = {}
        self._methods, self._queue = methods, Queue(max_waiting)
        self._device = DeviceWork(self._library, self.shelf, methods, queue=self._queue, limit=limit_seconds)
        self._wishes = Wishes(self._queue, self._device.pictures)
        grids = {"paces": self._device.paces, "limit": limit_seconds}
        lent = self._device.is_lent  # then for single pictures only
        self.grids = None if lent else GridStudio(self._library, methods, self._queue, self.shelf.folder, **grids)
        videos = self._library, methods, self._queue, self.shelf.folder
        self.videos = None if lent else VideoStudio(*videos, limit=limit_seconds)
        # diffusers imports it, and it silences a warning of its own: not reliably in the worker's thread, since
        # Python's warning filters are shared, and gradio puts them back while the page is built.
        import_module("requests")
        self._worker = threading.Thread(target=self._work, name="studio", daemon=True)
        if not waits:
            self.begin()

    def begin(self) -> None:
        """Load the default model, then do what is asked for."""
        self._worker.start()

    def cards(self) -> list[Card]:
        """The base models, the default one first, each with why it cannot be used if so."""
        return self._library.cards()

    def additions(self) -> Mapping[str, list[Card]]:
        """The LoRA files ("loras") and embeddings in the folder of models, see `library.additions.cards`."""
        return additions.cards(self._library.files(self._library.default))

    def setups(self) -> list[Setup]:
        """What the base models with a download take that is not here."""
        return setup.setups(self._library)

    def methods(self) -> list[Card]:
        """The methods by their kind, with their presets, the default preset first."""
        return cards.of_methods(self._methods.values())

    def rewards(self) -> list[Card]:
        """The rewards that methods may optimize and runs are scored by."""
        return cards.of_rewards()

    def groups(self, prompt: str) -> list[str]:
        """The groups of a noun and what describes it that methods read off a prompt; none without a noun, or of one too long."""
        return [str(group) for group in parse(prompt)] if len(prompt) <= MAX_PROMPT else []

    def unknown(self, prompt: str, model: str) -> str:
        """A sentence on the words of a prompt that a small model does not know, or empty."""
        return cards.unknown(self._library, model, prompt) if len(prompt) <= MAX_PROMPT else ""

    def status(self) -> Status:
        """The machine in words and how busy it is."""
        running, waiting = self._queue.counts()
        model = self._library.default
        device, dtype = self._library.where(model)
        how = {"device": device_name(device), "dtype": str(dtype).removeprefix("torch.")}
        return Status(**how, model=model, running=running, waiting=waiting)

    def command(self, request: Request, settings: Mapping[str, Any] | None = None, motion: Motion | None = None) -> str:
        """The command line that makes the same pictures, or the same video.

        Args:
            settings: what a run was made with, which its preset may no longer mean. motion: of a video.
        """
        given = self._weights if request.model == self._library.default else None
        weights = given or self._library.own(request.model)
        if motion is not None:
            return of_video(request, motion, weights)
        return command_line(self.as_made(request, settings or {}), weights)

    def as_made(self, request: Request, settings: Mapping[str, Any]) -> Request:
        """What a run was asked with, as somebody would ask for it today.

        Args:
            settings: what it was made with, which its preset may no longer mean.
        """
        if request.method in self._methods:
            with suppress(ValueError):  # an uploaded run may have settings that nobody could ask for
                return as_made(request, settings, self._methods[request.method].presets)
        return request

    def start(self, request: Request, owner: str = "", address: str = "") -> str:
        """Queue a request and return its job's id, 12 hexadecimal digits.

        Args:
            request: what to make.
            owner: who asks; one job at a time for each owner, any number for "".
            address: where from; the order is fair between addresses, see `Queue`.

        Raises:
            ValueError: the model, the method or a setting does not exist here, the method needs rewards that are not
                here, the queue is full, or this owner has a job already; one sentence.
        """
        spec = method_of(request.method, self._methods)
        self._library.find(request.model, spec.needs_rewards)
        self._library.find_added(request.added)
        spec.settings(request.preset, request.settings)
        return self._submit(self._device.pictures, request, owner, address)

    def instead(self, request: Request, owner: str = "", address: str = "") -> str | None:
        """As `start`, an intervention in place of the one that this owner asked for before: the newest wish wins.

        What is replaced ends after its current update; arguments and what is raised are those of `start`. None if this owner
        asked for another one while that was waited for.
        """
        if not owner or request.method not in INTERVENTIONS:
            return self.start(request, owner, address)
        return self._wishes.instead(owner, lambda: self.start(request, owner, address))

    def withdraw(self, owner: str) -> None:
        """Give up the intervention that this owner asked for: a picture that was there already is wanted instead."""
        self._wishes.withdraw(owner)

    def network(self, model: str) -> Network:
        """Where a base model can be masked; read once.

        Raises:
            ValueError: there is no such model here, or it has no attention in its up blocks.
        """
        if model not in self._networks:
            self._networks[model] = self._library.network(model)
        return self._networks[model]

    def concepts(self, model: str) -> list[Card]:
        """The kept masks of a base model that erase or amplify a concept, see `Library.concepts`."""
        return self._library.concepts(model)

    def null_mask(self, request: Request, owner: str = "", address: str = "") -> str:
        """Queue the control, and return its job's id: plain, and the same under masks of ones.

        The last event's message says the largest pixel difference, 0 to 255; 0 if putting masks on changes
        nothing by itself. Arguments and what is raised are those of `start`.
        """
        self._library.find(request.model, with_rewards=False)
        self._library.find_added(request.added)
        return self._submit(self._device.null_mask, request, owner, address)

    def speed(self, owner: str = "", address: str = "") -> str:
        """Queue a measurement of how long pictures of the default model take here, and return its job's id.

        The last event's message says it, see `doctor.speed`. Arguments and what is raised are those of `start`;
        it is refused too where the device is only lent.
        """
        if self._device.is_lent:
            raise ValueError("A shared GPU is lent for pictures only; their times are under each of them.")
        asked = Request(prompt=doctor.PROMPT, model=self._library.default, method="plain")
        return self._submit(self._device.speed, asked, owner, address)

    def _submit(self, work: Callable[[Job], Ended], request: Request, owner: str, address: str) -> str:
        kind = "picture" if work == self._device.pictures else "measurement"
        usual = self._device.usual(work, request)
        job = Job(request=request, kind=kind, work=work, owner=owner, address=address, usual=usual)
        return self._queue.submit(job)

    def now(self, job: str) -> JobEvent:
        """The newest event of a job, of a grid or a video as long as it is kept; for the id of a saved run the run.

        Raises:
            ValueError: no such job or run.
        """
        known = self._queue.get(checked(job)) or self._forgotten(job)
        if known is not None:
            return self._queue.now(known)
        run = self.run(job)
        elapsed = run.seconds + run.base_seconds
        return JobEvent(job=job, phase=run.state, elapsed=elapsed, rows=run.rows, run=run, message=run.note)

    def _forgotten(self, job: str) -> Job | None:
        """A grid or a video that is over, and that the queue does not remember."""
        kinds = (kind for kind in (self.grids, self.videos) if kind is not None)
        return next((known for kind in kinds if (known := kind.works.job(job))), None)

    def events(self, job: str, after: int = 0) -> Iterator[JobEvent]:
        """Follow a job from any moment on; several readers may, each at its own pace.

        A slow reader gets the newest event rather than a backlog; every event carries the numbers
        of all updates so far. Without news an event comes once a second, for the clock.

        Args:
            job: its id; for the id of a saved run the run comes at once.
            after: number of the last event that the reader has seen.

        Raises:
            ValueError: no such job or run, or too many follow it already.
        """
        known = self._queue.get(checked(job))
        if known is not None:
            yield from self._queue.follow(known, after)
        else:
            yield self.now(job)

    def stop(self, job: str) -> None:
        """End a job after its current update; the best so far becomes its run.

        Raises:
            ValueError: no such job.
        """
        known = self._queue.get(checked(job))
        if known is None:
            raise ValueError("This job has ended or is not known here any more.")
        self._queue.stop(known, "Stopped on request.")

    def run(self, run_id: str) -> Run:
        """A run that is over, without its masks; also one that ended with an earlier program.

        Raises:
            ValueError: the id is malformed, or there is no such run here, not yet or not any more.
        """
        known = self._queue.get(checked(run_id))
        if known is not None and known.ended is None:
            raise ValueError("This run is still being made.")
        return self.shelf.read(run_id)

    def machine(self) -> list[tuple[str, str]]:
        """What this machine has besides models and rewards, see `setups`: names and sentences of `doctor.look`."""
        findings = doctor.look(self._library, self.shelf.folder)
        return [(each.name, each.said) for each in findings if each.name not in (doctor.WEIGHTS, doctor.REWARDS)]

    def close(self) -> None:
        """End all work after its current update, but wait `PATIENCE` seconds at most, and let go of the models."""
        deadline = time.monotonic() + PATIENCE
        self._queue.close("Stopped because the program was closed.")
        self.features.close()
        if self.training is not None:
            self.training.close(PATIENCE)
        if self._worker.is_alive():
            self._worker.join(max(0.0, deadline - time.monotonic()))
        self._library.clear()

    def drop(self) -> None:
        """What is left to do where nothing can be waited for: end every process, remove what is half written."""
        kill_all()
        if not self._worker.is_alive():  # else it may be writing; the next start puts that right
            self.shelf.tidy()

    def _work(self) -> None:
        self._device.warm_up()
        while (job := self._queue.next()) is not None:
            phase, news = self._device.do(job)
            self._device.tidy()
            if phase == AGAIN:
                self._queue.again(job)
            else:
                self._queue.publish(job, phase, **news)
