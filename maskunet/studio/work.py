"""What is done on the device for a job: a pair of pictures, the control of ones, or this machine's speed."""

import gc
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from maskunet.failures import sentence
from maskunet.library.library import Library, Loaded
from maskunet.methods import method_of
from maskunet.methods.base import MethodSpec, mask_bytes
from maskunet.models.base import DiffusionModel
from maskunet.records import Request, Run, StepEvent
from maskunet.runs.compare import compare, null_mask
from maskunet.runs.grid.made import Paces
from maskunet.runs.recorder import Stopped, Trace
from maskunet.studio import doctor, zero_gpu
from maskunet.studio.queue import Job, Queue
from maskunet.studio.shelf import Shelf

logger = logging.getLogger(__name__)

MAX_RECENT = 32  # plain pictures, and durations, kept in memory
KEEP_MASKS = 8 * 2**20  # bytes of packed masks below which a run keeps them unasked

Ended = tuple[str, dict[str, Any]]
"""The last phase of a job, and what readers are told besides."""


class DeviceWork:
    """The kinds of work, each a function of a job, and what they share; for one thread.

    Args:
        queue: is told how the work goes. limit: seconds of one job.

    Attributes:
        paces: how long a step takes, by model and method.
    """

    def __init__(
        self, library: Library, shelf: Shelf, methods: Mapping[str, MethodSpec], *, queue: Queue, limit: float
    ):
        self._library, self._shelf, self._methods = library, shelf, methods
        self._queue, self._limit = queue, limit
        self._bases: dict[tuple, Trace] = _Recent()
        self._usual: dict[tuple, float] = _Recent()
        self.paces = Paces()
        self._lent: dict[Callable[[Job], Ended], Callable[..., Iterator[Any]]] = {}  # what does such work elsewhere
        if zero_gpu.is_here():  # its models must be loaded before the page is launched
            self.warm_up()
            for work, elsewhere in ((self.pictures, self._compared), (self.null_mask, self._checked)):
                self._lent[work] = zero_gpu.lent(elsewhere, partial(self._loan, work))

    @property
    def is_lent(self) -> bool:
        """Whether the device belongs to this program for single calls only."""
        return bool(self._lent)

    def _is_far(self, request: Request) -> bool:
        """Whether its work is done elsewhere: not that of embedded models, for which this computer's CPU is enough."""
        return self.is_lent and not self._library.stays_here(request.model)

    def usual(self, work: Callable[[Job], Ended], request: Request) -> float | None:
        """Seconds that an equal request took before, or None."""
        return self._usual.get(_effort(work, request))

    def warm_up(self) -> None:
        """Load the default model before anyone asks, and where the device is lent a model for it: pictures come sooner."""
        names = [self._library.default]
        if zero_gpu.is_here():
            far = [c.name for c in self._library.cards() if c.available and not self._library.stays_here(c.name)]
            names = list(dict.fromkeys([*far[:1], *names]))
        for name in names:
            try:
                self._library.load(name)
            except Exception as error:  # told to whoever asks for this model
                logger.info("The model %s was not loaded: %s", name, error)
        gc.collect()
        gc.freeze()  # the libraries: 600,000 objects that `tidy` need not look at each time, for .3 s of everybody's

    def do(self, job: Job) -> Ended:
        """Do a job's work, in the context of whoever asked, and say how it ended, whatever happened."""
        try:
            phase, news = job.context.run(job.work, job)
        except Stopped as error:
            return "stopped", {"message": str(error)}
        except Exception as error:
            self._note_short_loan(job)
            return "failed", {"message": sentence(error)}
        if phase == "done":
            self._usual[_effort(job.work, job.request)] = time.monotonic() - job.worked
        return phase, news

    def _note_short_loan(self, job: Job) -> None:
        """Remember that work was cut off when its loan was over, so that the next one is longer."""
        if job.worked and self._is_far(job.request):
            took = time.monotonic() - job.worked
            if took >= self._loan(job.work, job.request):
                self._usual[_effort(job.work, job.request)] = took

    def tidy(self) -> None:
        """Give back the memory of work that is over."""
        gc.collect()
        if self._library.device.type == "cuda":
            with suppress(RuntimeError):  # a broken device must not end the worker
                torch.cuda.empty_cache()

    def pictures(self, job: Job) -> Ended:
        """Make the plain picture and the method's, and save them as a run."""
        self._load(job)
        should_stop, far = partial(self._why, job), self._is_far(job.request)
        asked = job.request, job.id
        pictures = self._lent[self.pictures](*asked) if far else self._compared(*asked, should_stop)
        with closing(pictures):
            for phase, item in pictures:
                if isinstance(item, StepEvent):
                    self._queue.publish(job, phase, item)
                    if far and (why := should_stop()):  # which the other process does not hear of
                        return self._kept(job, self._shelf.cut_short(job.id, why))
        return self._kept(job, item)

    def null_mask(self, job: Job) -> Ended:
        """Measure the largest pixel difference between plain and the same under masks of ones."""
        model = self._load(job, with_rewards=False).model
        self._queue.publish(job, "checking")
        plain = self._methods["plain"]
        far = self._is_far(job.request)
        steps = self._lent[self.null_mask](job.request) if far else null_mask(model, job.request, plain)
        with closing(steps):
            for item in steps:
                if isinstance(item, StepEvent) and (why := self._why(job)):
                    raise Stopped(why)
        return "done", {"message": f"Largest pixel difference: {item:g} of 255."}

    def speed(self, job: Job) -> Ended:
        """Measure how long pictures of the default model take here, from a few steps; see `doctor.speed`.

        Raises:
            ValueError: they are made elsewhere.
        """
        if self._is_far(job.request):
            raise ValueError("Here a GPU is lent for single pictures, so its speed is not measured.")
        self._load(job)
        self._queue.publish(job, "measuring")
        return "done", {"message": doctor.speed(self._library, partial(self._why, job)).said}

    def _load(self, job: Job, **how: bool) -> Loaded:
        """What the job's work needs; its time counts from here."""
        if not self._library.is_loaded(job.request.model, job.request.added):
            self._queue.publish(job, "loading")
        loaded = self._library.load(job.request.model, added=job.request.added, **how)
        job.worked = time.monotonic()
        if why := self._why(job):
            raise Stopped(why)
        return loaded

    def _loan(self, work: Callable[[Job], Ended], request: Request, *others: Any) -> float:
        """Seconds for which to borrow the device for such work."""
        settings = None
        if work == self.pictures:
            settings = method_of(request.method, self._methods).settings(request.preset, request.settings)
        return zero_gpu.loan(self.usual(work, request), zero_gpu.expected(request.steps, settings))

    def _why(self, job: Job) -> str:
        """Why the work must end now, or nothing."""
        late = time.monotonic() > job.worked + self._limit
        return job.reason or late * f"Stopped at the limit of {self._limit:g} seconds."

    def _compared(
        self, request: Request, run_id: str, should_stop: Callable[[], str] = str
    ) -> Iterator[tuple[str, StepEvent | Run]]:
        loaded = self._library.load(request.model, added=request.added)
        yield from compare(
            loaded.model,
            loaded.rewards,
            _with_masks(request, loaded.model),
            bases=self._bases,
            should_stop=should_stop,
            run_id=run_id,
            draft=self._shelf.draft(run_id),
            methods=self._methods,
        )

    def _checked(self, request: Request) -> Iterator[StepEvent | float]:
        model = self._library.load(request.model, with_rewards=False, added=request.added).model
        yield from null_mask(model, request, self._methods["plain"])

    def _kept(self, job: Job, run: Run) -> Ended:
        self._shelf.keep(run, job.owner, job.address)
        if run.state == "done" and run.request.steps:
            self.paces.learn(run.request.model, run.request.method, run.request.steps, run.seconds)
        # Masks and course are read from the disk when asked for.
        return run.state, {"run": replace(run, masks=None, course=None), "message": run.note}


def _with_masks(request: Request, model: DiffusionModel) -> Request:
    """Small models' masks are kept unasked, so that the explorer can lay two runs over each other."""
    return replace(request, keep_masks=request.keep_masks or mask_bytes(model, request) <= KEEP_MASKS)


def _effort(work: Callable[[Job], Ended], request: Request) -> tuple:
    """What decides how long a request takes."""
    settings = tuple(sorted(request.settings.items()))
    return work.__name__, request.model, request.method, request.preset, request.steps, settings


class _Recent(OrderedDict):
    """A dictionary that keeps only the entries added last."""

    def __setitem__(self, key: object, value: object) -> None:
        super().__setitem__(key, value)
        while len(self) > MAX_RECENT:
            self.popitem(last=False)
