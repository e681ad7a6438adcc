"""The queue: requests waiting for the one worker in fair order, and what any number of readers see of them."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any

from maskunet.records import JobEvent, Request, Run, StepEvent

ENDED = ("done", "stopped", "failed")
AGAIN = "again"  # in place of a last phase: there is more to do, in another turn
KEEP_SECONDS = 1800  # how long an ended job stays in memory
KEEP_ENDED = 64  # and how many of them at most
KEPT = 4  # one of so many places in the queue is for addresses that have nothing waiting
FOLLOWERS = 8  # readers of one job at once
HEARTBEAT = 1.0  # seconds without news after which a reader hears of a job again, for its clock


@dataclass(kw_only=True, slots=True, eq=False)
class Job:
    """One piece of work for the device and the newest event of it; changed under the queue's lock only.

    Attributes:
        kind: what it makes, in a word. work: does it, for the worker; the last phase and what readers are told besides.
        owner, address: who asks and where from.
        turn: when it is due, by the queue's count of turns.
        usual: seconds that an equal request took before, or None.
        reason: why the work must end after its current update, or empty.
        context: of whoever asked, in which the work is done.
        followers: how many readers it has.
        asked, worked, ended: when it was asked for, begun and over, in seconds of one clock.
    """

    id: str = field(default_factory=lambda: secrets.token_hex(6))
    request: Request
    kind: str = "picture"
    work: Callable[["Job"], tuple[str, dict[str, Any]]] | None = None
    owner: str = ""
    address: str = ""
    turn: float = 0.0
    usual: float | None = None
    phase: str = "queued"
    number: int = 1
    step: StepEvent | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    run: Run | None = None
    message: str = ""
    reason: str = ""
    followers: int = 0
    context: Context = field(default_factory=copy_context)
    asked: float = field(default_factory=time.monotonic)
    worked: float | None = None
    ended: float | None = None

    def publish(self, phase: str, step: StepEvent | None = None, **news: Any) -> None:
        """Replace what readers see by something newer."""
        self.phase, self.step, self.number = phase, step, self.number + 1
        if phase == "result" and step is not None:
            self.rows.append(step.row())
        for name, value in news.items():
            setattr(self, name, value)
        if phase in ENDED:
            self.ended = time.monotonic()

    def event(self, ahead: int = 0, wait: float | None = None) -> JobEvent:
        """What a reader is told now; `ahead` jobs come first, and they take `wait` seconds."""
        now = self.ended or time.monotonic()
        return JobEvent(
            job=self.id,
            phase=self.phase,
            number=self.number,
            ahead=ahead,
            elapsed=now - self.asked,
            remaining=wait if self.phase == "queued" else self.remaining(now),
            step=self.step,
            rows=tuple(self.rows),
            run=self.run,
            message=self.message,
        )

    def remaining(self, now: float) -> float | None:
        """Seconds to the end: from an equal request before, else from this one's pace."""
        if self.phase in ENDED:
            return 0.0
        if self.worked is None:
            return None
        if self.usual is not None:
            return max(0.0, self.usual - (now - self.worked))
        if self.phase != "result" or self.step is None:
            return None
        # Later steps are taken to have as many updates as the current one.
        step, updates = self.step, max(1, self.step.updates)
        left = max(0, updates - step.update) + (step.steps - step.step - 1) * updates
        return step.seconds / len(self.rows) * left


class Queue:
    """Jobs for few workers and many readers, in fair order.

    The order is that of start-time fair queueing (Goyal, Vin and Cheng 1996): the jobs of one address are due
    one turn apart, and an address that asks for the first time is due now. So whoever just had a turn waits behind
    those who had none, and nobody is overtaken for more than the queue's length of turns.

    Args:
        max_waiting: jobs that may wait besides those that run.
        at_once: jobs that may run.
    """

    def __init__(self, max_waiting: int, at_once: int = 1):
        self._max_waiting, self._at_once = max_waiting, at_once
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._waiting: list[Job] = []  # as they will be taken
        self._running: list[Job] = []
        self._turn = 0.0  # turns so far, of an address that always asks
        self._closed = False
        self._changed = threading.Condition()

    def submit(self, job: Job) -> str:
        """Give a job its place in the queue and return its id, 12 hexadecimal digits.

        Raises:
            ValueError: the queue is full or closed, or this owner has a job already.
        """
        with self._changed:
            self._forget()
            self._check(job.owner, job.address)
            self._enter(job)
            self._changed.notify_all()
        return job.id

    def _enter(self, job: Job) -> None:
        """Let a job wait; it is due a turn after the last of its address."""
        job.turn = max([self._turn, *(one.turn + 1 for one in self._jobs.values() if one.address == job.address)])
        self._jobs[job.id] = job
        self._waiting.append(job)
        self._waiting.sort(key=lambda one: one.turn)

    def _check(self, owner: str, address: str) -> None:
        if self._closed:
            raise ValueError("The program is being closed. Start it again.")
        if owner and (mine := self.of(owner)):
            raise ValueError(
                f"You have a {mine[0].kind} in the making already, here or in another window. Stop it there, or wait."
            )
        if len(self._waiting) >= self._max_waiting:
            raise ValueError(f"All {self._max_waiting} places in the queue are taken. Try again in a minute.")
        left = self._max_waiting - len(self._waiting)
        if left <= self._max_waiting // KEPT and address in [job.address for job in self._waiting]:
            raise ValueError(f"The last {left} places in the queue are for others. Try again in a minute.")

    def next(self) -> Job | None:
        """Wait for a job and take it; None when the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_free() or self._closed)
            return None if self._closed else self._take()

    def begins(self, job: Job, within: float) -> bool:
        """Take this job if its turn comes within so many seconds, for who does its work without a worker."""
        with self._changed:
            mine = self._changed.wait_for(lambda: self._is_free() and self._waiting[0] is job, within)
            return mine and self._take() is job

    def _is_free(self) -> bool:
        return bool(self._waiting) and len(self._running) < self._at_once

    def _take(self) -> Job:
        """The first of those that wait."""
        job = self._waiting.pop(0)
        self._running.append(job)
        # The last term lets the count go on while ever new addresses come, which are due at once.
        self._turn = max(job.turn, self._turn + 1 / self._max_waiting)
        self._changed.notify_all()
        return job

    def publish(self, job: Job, phase: str, step: StepEvent | None = None, **news: Any) -> None:
        """Tell the readers of a job something newer; `news` are further attributes of the job."""
        with self._changed:
            job.publish(phase, step, **news)
            if phase in ENDED and job in self._running:
                self._running.remove(job)
            self._changed.notify_all()

    def again(self, job: Job) -> None:
        """Put a job that runs, and has more to do, behind those who had fewer turns: as if it were asked for now."""
        with self._changed:
            self._running.remove(job)
            if self._closed or job.reason:
                job.publish("stopped", message=job.reason)
            else:
                self._enter(job)
            self._changed.notify_all()

    def get(self, job_id: str) -> Job | None:
        """The job, if it is still remembered."""
        with self._changed:
            return self._jobs.get(job_id)

    def of(self, owner: str) -> list[Job]:
        """The jobs of an owner that are not over."""
        with self._changed:
            return [job for job in self._jobs.values() if job.owner == owner and job.phase not in ENDED]

    def now(self, job: Job) -> JobEvent:
        """The job's newest event."""
        with self._changed:
            return job.event(*self._ahead(job))

    def follow(self, job: Job, after: int = 0) -> Iterator[JobEvent]:
        """The job's events newer than number `after`, skipping what a slow reader missed.

        Raises:
            ValueError: it has as many readers as it may.
        """
        with self._changed:
            if job.followers >= FOLLOWERS:
                raise ValueError(f"{FOLLOWERS} pages follow this already. Close one of them, then reload.")
            job.followers += 1
        try:
            while True:
                with self._changed:
                    if job.number <= after and job.phase not in ENDED:
                        self._changed.wait(HEARTBEAT)
                    event = job.event(*self._ahead(job))
                after = event.number
                yield event
                if event.phase in ENDED:
                    return
        finally:
            with self._changed:
                job.followers -= 1

    def _ahead(self, job: Job) -> tuple[int, float | None]:
        """How many jobs come before a waiting one, and the seconds until it is over, if they can be told.

        A request unlike any before it is taken to last as long as the one that runs.
        """
        if job not in self._waiting:
            return 0, None
        before = self._waiting[: self._waiting.index(job)]
        now, running = time.monotonic(), next(iter(self._running), None)
        left = running.remaining(now) if running else 0.0
        known = running and running.worked and left is not None
        typical = now - running.worked + left if known else None
        times = [left, *(typical if one.usual is None else one.usual for one in (*before, job))]
        return len(before) + len(self._running), None if None in times else sum(times)

    def stop(self, job: Job, reason: str) -> None:
        """End a job: at once if it waits, after its current update if it runs."""
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
                job.turn = 0.0  # it had none
                job.publish("stopped", message=reason)
            elif job.phase not in ENDED:
                job.reason = job.reason or reason
            self._changed.notify_all()

    def ends(self, job: Job, within: float) -> bool:
        """Wait until a job is over, so many seconds at most; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: job.phase in ENDED, within)

    def counts(self) -> tuple[int, int]:
        """How many jobs run and how many wait."""
        with self._changed:
            return len(self._running), len(self._waiting)

    def close(self, reason: str) -> None:
        """End every job and take no more."""
        with self._changed:
            self._closed = True
            for job in [*self._running, *self._waiting]:
                self.stop(job, reason)
            self._changed.notify_all()

    def _forget(self) -> None:
        """Drop ended jobs that are old or too many; their runs are on the disk."""
        ended = [job for job in self._jobs.values() if job.phase in ENDED]
        now = time.monotonic()
        for number, job in enumerate(reversed(ended)):
            if number >= KEEP_ENDED or now - job.ended > KEEP_SECONDS:
                del self._jobs[job.id]
