"""The only door for a page: jobs one after another, plain data in and out, clear sentences."""

import gc
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import torch

from maskunet.failures import sentence
from maskunet.library.library import Library
from maskunet.machine import device_name
from maskunet.masks.sites import find_sites
from maskunet.methods import SPECS, method_of
from maskunet.methods.base import MethodSpec
from maskunet.models.base import DiffusionModel
from maskunet.prompts.groups import parse
from maskunet.records import Card, JobEvent, Request, Run, Status, StepEvent
from maskunet.runs.command_line import command_line
from maskunet.runs.compare import compare, null_mask
from maskunet.runs.recorder import Stopped, Trace
from maskunet.studio import cards, doctor, zero_gpu
from maskunet.studio.features import FeatureStudio
from maskunet.studio.queue import Job, Queue
from maskunet.studio.shelf import Shelf, checked
from maskunet.studio.training import TrainStudio
from maskunet.studio.training_process import Place

logger = logging.getLogger(__name__)

MAX_RECENT = 32  # plain pictures, and durations, kept in memory
KEEP_MASKS = 8 * 2**20  # bytes of packed masks below which a run keeps them unasked


class Studio:
    """Runs requests one at a time and tells any number of readers how they go.

    Args:
        runs: folder of the run folders, made if absent; 200 are kept, see `Shelf`.
        model: the default base model, or "auto" (see `Library`).
        weights: folder of the default model's weights, or None.
        device: "cuda", "mps", "cpu", or None for the best one here.
        max_waiting: requests that may wait besides the one that runs.
        limit_seconds: wall-clock limit of one request's work; its best so far is kept.
        library: the models to use; `model`, `weights` and `device` are ignored then.
        methods: the methods to use.
        images: folder whose folders of pictures `features` offers, or None.
        trains: whether pages may start trainings; for a computer that only its user reaches.

    Attributes:
        shelf: the runs on the disk.
        features: sets of pictures side by side, see `FeatureStudio`.
        training: trainings on tabletop scenes, see `TrainStudio`; None where pages may not start any.

    Raises:
        ValueError: no such model or device, `weights` holds no model, or `images` is no folder.
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
    ):
        self.shelf = Shelf(runs)
        self._library = library or Library(model, weights, device)
        self.features = FeatureStudio(images=images, device=str(self._library.device))
        place = Place(model=self._library.default, weights=weights, device=str(self._library.device))
        self.training = TrainStudio(place) if trains else None
        self._methods, self._limit = methods, limit_seconds
        self._queue = Queue(max_waiting)
        self._bases: dict[tuple, Trace] = _Recent()
        self._usual: dict[tuple, float] = _Recent()
        self._computing = threading.Lock()  # one at a time on the device, by any route
        self._lent = None
        if zero_gpu.is_here():  # its models must be loaded before the page is launched
            self._warm_up()
            self._lent = zero_gpu.lent(self._pictures, lambda asked, _: zero_gpu.loan(self._usual.get(_effort(asked))))
        # diffusers imports it, and it silences a warning of its own: not reliably in the worker's thread, since
        # Python's warning filters are shared, and gradio puts them back while the page is built.
        import_module("requests")
        self._worker = threading.Thread(target=self._work, name="studio", daemon=True)
        self._worker.start()

    def cards(self) -> list[Card]:
        """The base models, the default one first, each with why it cannot be used if so."""
        return self._library.cards()

    def methods(self) -> list[Card]:
        """The methods by their kind, with their presets, the default preset first."""
        return cards.of_methods(self._methods.values())

    def rewards(self) -> list[Card]:
        """The rewards that methods may optimize and runs are scored by."""
        return cards.of_rewards()

    def groups(self, prompt: str) -> list[str]:
        """The groups of a noun and what describes it that methods read off a prompt; none without a noun."""
        return [str(group) for group in parse(prompt)]

    def status(self) -> Status:
        """The machine in words and how busy it is."""
        running, waiting = self._queue.counts()
        return Status(
            device=device_name(self._library.device),
            dtype=str(self._library.dtype).removeprefix("torch."),
            model=self._library.default,
            running=running,
            waiting=waiting,
        )

    def command(self, request: Request) -> str:
        """The command line that makes the same pictures."""
        return command_line(request)

    def start(self, request: Request, owner: str = "", address: str = "") -> str:
        """Queue a request and return its job's id, 12 hexadecimal digits.

        Args:
            request: what to make.
            owner: who asks; one job at a time for each owner, any number for "".
            address: where from; the order is fair between addresses, see `Queue`.

        Raises:
            ValueError: the model, the method or a setting does not exist here, the queue is full,
                or this owner has a job already; one sentence.
        """
        self._library.find(request.model)
        method_of(request.method, self._methods).settings(request.preset, request.settings)
        return self._queue.submit(request, owner, address, self._usual.get(_effort(request)))

    def events(self, job: str, after: int = 0) -> Iterator[JobEvent]:
        """Follow a job from any moment on; several readers may, each at its own pace.

        A slow reader gets the newest event rather than a backlog; every event carries the numbers
        of all updates so far. Without news an event comes once a second, for the clock.

        Args:
            job: its id; for the id of a saved run the run comes at once.
            after: number of the last event that the reader has seen.

        Raises:
            ValueError: no such job or run.
        """
        known = self._queue.get(checked(job))
        if known is not None:
            yield from self._queue.follow(known, after)
            return
        run = self.run(job)
        yield JobEvent(job=job, phase=run.state, rows=run.rows, run=run, message=run.note)

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

    def null_mask(self, request: Request) -> float:
        """The control: largest pixel difference between plain and the same under masks of ones.

        Returns:
            0 to 255; 0 if putting masks on changes nothing by itself.

        Raises:
            ValueError: as `start`, or the model is busy with someone's picture for a minute.
        """
        self._library.find(request.model)
        with self._alone():
            loaded = self._library.load(request.model)
            return null_mask(loaded.model, loaded.rewards, request, self._methods["plain"])

    def machine(self) -> list[tuple[str, str]]:
        """What this machine has besides the base models, see `cards`: names and sentences of `doctor.look`."""
        findings = doctor.look(self._library, self.shelf.folder)
        return [(found.name, found.said) for found in findings if found.name != doctor.WEIGHTS]

    def speed(self) -> str:
        """How long pictures of the default model take here, from a few steps; see `doctor.speed`.

        Raises:
            ValueError: the model is busy with someone's picture for a minute, or its device is only lent.
        """
        if self._lent is not None:
            raise ValueError("A shared GPU is lent for pictures only; their times are under each of them.")
        with self._alone():
            return doctor.speed(self._library).said

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nothing else computes meanwhile; what fails is said in a sentence."""
        if not self._computing.acquire(timeout=60):
            raise ValueError("The model is busy with a picture. Try again when it is done.")
        message = ""
        try:
            yield
        except Exception as error:
            message = sentence(error)
        finally:
            self._computing.release()
        if message:
            raise ValueError(message)

    def close(self) -> None:
        """End all work after its current update and let go of the models."""
        self.features.close()
        if self.training is not None:
            self.training.close()
        self._queue.close("Stopped because the program was closed.")
        self._worker.join(timeout=60)
        self._library.clear()

    def _warm_up(self) -> None:
        """Load the default model before anyone asks: the first preview comes sooner."""
        try:
            with self._computing:
                self._library.load(self._library.default)
        except Exception as error:  # told to whoever asks for this model
            logger.info("The default model was not loaded: %s", error)

    def _work(self) -> None:
        self._warm_up()
        while (job := self._queue.next()) is not None:
            phase, news = "failed", {}
            try:
                with self._computing:
                    run = job.context.run(self._make, job)
                phase, news = run.state, {"run": run, "message": run.note}
            except Stopped as error:
                phase, news = "stopped", {"message": str(error)}
            except Exception as error:
                news = {"message": sentence(error)}
            self._tidy()  # after the except block, which would keep the failed work's tensors alive
            self._queue.publish(job, phase, **news)

    def _make(self, job: Job) -> Run:
        """Make the pictures and save them."""
        if not self._library.is_loaded(job.request.model):
            self._queue.publish(job, "loading")
        self._library.load(job.request.model)
        job.worked = time.monotonic()
        deadline = job.worked + self._limit

        def should_stop() -> str:
            late = time.monotonic() > deadline
            return job.reason or late * f"Stopped at the limit of {self._limit:g} seconds."

        if why := should_stop():
            raise Stopped(why)
        far = self._lent is not None
        pictures = self._lent(job.request, job.id) if far else self._pictures(job.request, job.id, should_stop)
        with closing(pictures):
            for phase, item in pictures:
                if isinstance(item, StepEvent):
                    self._queue.publish(job, phase, item)
                    if far and (why := should_stop()):  # which the other process does not hear of
                        return self._keep(job, self.shelf.cut_short(job.id, why))
        return self._keep(job, item)

    def _pictures(
        self, request: Request, run_id: str, should_stop: Callable[[], str] = str
    ) -> Iterator[tuple[str, StepEvent | Run]]:
        loaded = self._library.load(request.model)
        yield from compare(
            loaded.model,
            loaded.rewards,
            _with_masks(request, loaded.model),
            bases=self._bases,
            should_stop=should_stop,
            run_id=run_id,
            draft=self.shelf.draft(run_id),
            methods=self._methods,
        )

    def _keep(self, job: Job, run: Run) -> Run:
        """Save a run and remember how long it took."""
        if run.state == "done":
            self._usual[_effort(job.request)] = time.monotonic() - job.worked
        self.shelf.keep(run, job.owner, job.address)
        return replace(run, masks=None, course=None)  # those are read from the disk when asked for

    def _tidy(self) -> None:
        gc.collect()
        if self._library.device.type == "cuda":
            with suppress(RuntimeError):  # a broken device must not end the worker
                torch.cuda.empty_cache()


def _with_masks(request: Request, model: DiffusionModel) -> Request:
    """Small models' masks are kept unasked, so that the explorer can lay two runs over each other."""
    weights = sum(site.weights for site in find_sites(model.unet))
    small = weights / 8 * (request.steps or model.steps) <= KEEP_MASKS
    return replace(request, keep_masks=request.keep_masks or small)


def _effort(request: Request) -> tuple:
    """What decides how long a request takes."""
    settings = tuple(sorted(request.settings.items()))
    return request.model, request.method, request.preset, request.steps, settings


class _Recent(OrderedDict):
    """A dictionary that keeps only the entries added last."""

    def __setitem__(self, key: object, value: object) -> None:
        super().__setitem__(key, value)
        while len(self) > MAX_RECENT:
            self.popitem(last=False)
