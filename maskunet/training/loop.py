"""The one training loop, for every recipe, on any number of processes.

Everything random about a sample follows from the seed and the sample's number, never from a running
stream: so a resumed training has the curve of an unbroken one, and two processes that of one.
"""

import math
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskunet import seeds
from maskunet.models.base import DiffusionModel
from maskunet.records.training import Preparing, TrainEvent
from maskunet.rewards.base import WeightedRewards
from maskunet.training import checkpoint, sheet
from maskunet.training.data import AlternatingFeed, Feed, Pairs, feed_of
from maskunet.training.objective import Batch, Objective
from maskunet.training.recipes.base import Recipe, RecipeSpec, Settings

SHARED = ".pictures"  # beside the folders of trainings
SHOWN = 4  # samples on a sheet


def train(
    model: DiffusionModel,
    spec: RecipeSpec,
    settings: Settings,
    pairs: Pairs,
    out: Path,
    *,
    about: dict[str, Any],
    rewards: WeightedRewards | None = None,
    resume: bool = False,
    minutes: float = math.inf,
) -> Iterator[TrainEvent | Preparing]:
    """Train a recipe; one event per optimizer step. Closing the iterator saves and stops.

    A recipe that makes what it learns from tells that first, as `Preparing`.

    Args:
        model: frozen; bit for bit the same afterwards. pairs: pictures with captions.
        out: receives the checkpoint, the trained part, the log and the sample sheets. What the recipe makes to learn
            from lies beside it, in `SHARED`, for other trainings.
        rewards: of a recipe that learns from one.
        about: what else a resumption must agree on, such as the data's name; JSON values.
        minutes: of this call's steps; when they are over, the training is saved and ends early.

    Raises:
        ValueError: nothing to train on, settings that this device or a resumption does not allow, or a
            loss that is no number; the last checkpoint is whole then.
    """
    from accelerate.state import AcceleratorState

    identity = checkpoint.identity(model, spec, settings, about)
    try:
        accelerator = _accelerator(model, settings, out)
        feed = Feed(pairs, settings.seed)
        prompts = shown(spec, settings, feed)
        if spec.prepare:
            _ready(out, identity, resume, accelerator.is_main_process)
            made = yield from spec.prepare(model, settings, feed, rewards, out.parent / SHARED)
            feed = feed_of(made, settings.seed)
        feed.check(settings.batch)
        held_out = feed.held_out() if accelerator.is_main_process else []
        objective = spec.objective(model, settings, held_out, rewards)
        with spec.build(model, settings) as recipe:
            run = _Training(accelerator, model, recipe, objective, settings, feed, prompts, out, identity)
            run.begin(resume)
            try:
                yield from run.steps(minutes)
            finally:
                run.end()
    finally:
        AcceleratorState._reset_state()  # else the next training in this process must have this precision


def shown(spec: RecipeSpec, settings: Settings, feed: Feed) -> list[str]:
    """Prompts of the sample sheets: the recipe's own, or the first captions of its pictures."""
    return list(spec.shown(settings)) if spec.shown else [feed(number).caption for number in range(SHOWN)]


def _ready(out: Path, identity: dict[str, Any], resume: bool, main: bool) -> None:
    """Refuse before long work what could not begin after it."""
    if resume:
        checkpoint.load(out, identity)
    elif main:
        checkpoint.claim(out)


def _accelerator(model: DiffusionModel, settings: Settings, out: Path) -> Any:
    """How many processes there are, their precision, and the log that TensorBoard reads, if it is here."""
    from accelerate import Accelerator
    from accelerate.utils import is_tensorboard_available

    on_cpu = model.device.type == "cpu"
    if on_cpu and settings.precision == "fp16":
        raise ValueError("The precision fp16 needs a GPU, and the model is on the CPU. Choose bf16 or no.")
    tracker = "tensorboard" if is_tensorboard_available() else None
    accelerator = Accelerator(cpu=on_cpu, mixed_precision=settings.precision, log_with=tracker, project_dir=out)
    if settings.batch < accelerator.num_processes:
        raise ValueError(
            f"The batch is {settings.batch}, for {accelerator.num_processes} processes. Each needs a picture: "
            "choose a larger batch or fewer processes."
        )
    return accelerator


class _Training:
    """The state of one training: what a checkpoint holds, and one step of it."""

    def __init__(
        self, accelerator: Any, model: DiffusionModel, recipe: Recipe, objective: Objective, settings: Settings,
        feed: Feed | AlternatingFeed, shown: list[str], out: Path, identity: dict[str, Any],
    ):  # fmt: skip
        self.objective, self.best = objective, -math.inf
        self.accelerator, self.model, self.recipe, self.settings = accelerator, model, recipe, settings
        self.feed, self.shown, self.out, self.identity = feed, shown, out, identity
        self.trained = [p for p in recipe.module.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(self.trained, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        # The model's parts are on their device already, and the recipe's module must stay with them.
        self.module, self.optimizer = accelerator.prepare(recipe.module, optimizer, device_placement=[False, False])
        self.average = [p.detach().clone() for p in self.trained] if settings.ema else []
        self.step = self.saved = self.kept = 0  # kept: whose trained part it is
        self.whole = True  # not in the middle of an update
        self.bad: dict[Any, str] = {}  # what the feed met before a resumption; it tries that again, as it may be mended
        self.examples: dict[str, str] = {}
        self.total = settings.steps or max(1, settings.epochs * len(feed) // settings.batch)

    def begin(self, resume: bool) -> None:
        """Start anew, or where the checkpoint in the folder was made."""
        if resume:
            state = checkpoint.load(self.out, self.identity)
            for here, there in zip(self.trained, state["trained"], strict=True):
                here.data.copy_(there)
            self.average = [value.to(self.model.device) for value in state["average"]]
            self.optimizer.load_state_dict(state["optimizer"])
            if self.accelerator.scaler is not None:
                self.accelerator.scaler.load_state_dict(state["scaler"])
            self.step, self.best, self.kept = state["step"], state["best"], state.get("kept", state["step"])
            self.bad, self.examples = state.get("bad", {}), state.get("examples", {})  # older ones kept neither
            self.saved = self.step
        if self.accelerator.is_main_process:
            if resume:
                checkpoint.cut_log(self.out, self.step)
            else:
                checkpoint.claim(self.out)
        self.accelerator.wait_for_everyone()
        self.accelerator.init_trackers("tensorboard", init_kwargs={"tensorboard": {"purge_step": self.step + 1}})

    def steps(self, minutes: float) -> Iterator[TrainEvent]:
        """Train to the end, or until the minutes are over."""
        began, first, late = time.monotonic(), self.step, False
        while self.step < self.total and not late:
            loss, rate, late = self._step(began + 60 * minutes)
            final = late or self.step == self.total
            due = final or self.step % self.settings.every == 0
            seconds = time.monotonic() - began
            left = seconds / (self.step - first) * (self.total - self.step)
            if due:
                self._share_what_is_bad()
            # That the minutes were over must not change which part is kept.
            competes = self.step == self.total or self.step % self.settings.every == 0
            measured = self._checkpoint(competes) if due else {}
            cut, (bad, examples) = late and self.step < self.total, self._left_out()
            event = TrainEvent(
                step=self.step, steps=self.total, loss=loss, learning_rate=rate, seconds=seconds,
                seconds_left=left, checkpoint=due, skipped=Counter(bad.values()), final=final, examples=examples,
                note=f"The {minutes:g} minutes were over at step {self.step} of {self.total}." if cut else "",
                **measured,
            )  # fmt: skip
            self._log(event)
            yield event

    def _log(self, event: TrainEvent) -> None:
        figures = {"loss": event.loss, "learning_rate": event.learning_rate, **event.figures}
        self.accelerator.log(figures, step=event.step)
        if self.accelerator.is_main_process:
            checkpoint.write_log(self.out, event)

    def _left_out(self) -> tuple[dict[Any, str], dict[str, str]]:
        """Why each pair met so far cannot be used, and what one of them is called, by reason."""
        return {**self.bad, **self.feed.bad}, {**self.feed.examples, **self.examples}

    def _share_what_is_bad(self) -> None:
        from accelerate.utils import gather_object

        for bad in gather_object([self.feed.bad]):
            self.feed.learn(bad)

    def end(self) -> None:
        """Keep what was reached since the last checkpoint, and let go of the accelerator."""
        if self.whole and self.step > self.saved:
            self._checkpoint(competes=False)  # that a training was stopped here must not change which part it keeps
        for tracker in self.accelerator.trackers:
            tracker.finish()
        self.accelerator.free_memory()

    def _step(self, until: float) -> tuple[float, float, bool]:
        """One update: its loss, its learning rate, and whether a process has reached the time `until`."""
        s, world = self.settings, self.accelerator.num_processes
        rate = s.learning_rate * _course(self.step, self.total, s)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        first = self.step * s.batch
        mine = list(range(first + self.accelerator.process_index, first + s.batch, world))
        parts = [mine[i : i + s.micro_batch] for i in range(0, len(mine), s.micro_batch)]
        total = torch.zeros((), device=self.model.device)
        self.module.train()
        for part in parts:
            with self.accelerator.no_sync(self.module) if part is not parts[-1] else _nothing():
                # Processes average their gradients, so each one's share is counted world times.
                loss = self._loss(part).sum() * world / s.batch
                self.accelerator.backward(loss)
            total += loss.detach() / world
        late = torch.full_like(total, time.monotonic() > until)
        loss, late = self.accelerator.reduce(torch.stack((total, late)), "sum").tolist()
        self._update(loss)
        return loss, rate, late > 0

    def _update(self, loss: float) -> None:
        """Move the weights, unless the loss or the gradient is no number."""
        self.whole = False
        norm = float(self.accelerator.clip_grad_norm_(self.trained, self.settings.clip))
        overflow = self.accelerator.scaler is not None  # fp16's scaler skips a step and goes on
        if not (math.isfinite(loss) and (overflow or math.isfinite(norm))):
            kept = f"The checkpoint of step {self.saved} is whole." if self.saved else "Nothing was saved."
            raise ValueError(
                f"The loss of step {self.step + 1}, or its gradient, is no number. {kept} Lower the learning rate."
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if self.average:
            torch._foreach_lerp_(self.average, [p.detach() for p in self.trained], 1 - self.settings.ema)
        self.whole = True

    def _loss(self, numbers: list[int]) -> Tensor:
        """(B,) the losses of these samples, weighted."""
        given = self._samples(numbers)
        with self.accelerator.autocast():
            return self.objective.losses(self.module, given) * given.weights

    def _samples(self, numbers: list[int]) -> Batch:
        """The samples of these numbers."""
        seed, cycle = self.settings.seed, self.objective.cycle
        draws = [seeds.of_sample(seed, number) for number in numbers]
        numbers = [number % cycle for number in numbers] if cycle else numbers
        pairs = [self.feed(number) for number in numbers]
        noise, t, captions = [], [], []
        for number, pair in zip(numbers, pairs, strict=True):
            rng = torch.Generator().manual_seed(seeds.of_sample(seed, number))
            noise.append(torch.randn(self.model.latent_shape, generator=rng))
            t.append(self.objective.timestep(rng, len(self.model.schedule.alphas_cumprod)))
            dropped = float(torch.rand((), generator=rng)) < self.settings.caption_dropout
            captions.append("" if dropped else pair.caption)
        device = self.model.device
        return Batch(
            model=self.model, numbers=numbers, pairs=pairs, captions=captions,
            noise=torch.stack(noise).to(device), t=torch.tensor(t).to(device), draws=draws, encode=self.recipe.encode,
        )  # fmt: skip

    def _checkpoint(self, competes: bool = True) -> dict[str, Any]:
        """Measure, draw samples, and save everything; what the event then carries.

        Args:
            competes: whether its trained part is kept if it is the best so far.
        """
        self.saved = self.step
        if not self.accelerator.is_main_process:
            return {}
        trained = [p.detach().cpu().clone() for p in self.trained]  # before the average is swapped in
        with self._averaged():
            self.module.eval()
            figures, picture = self._measure()
            better = self._better(figures) if competes else self._none_kept
            self.kept = self.step if better else self.kept
            state = {
                "trained": trained,
                "average": [p.cpu() for p in self.average],
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "best": self.best,
                "kept": self.kept,
                **dict(zip(("bad", "examples"), self._left_out(), strict=True)),
                "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else {},
            }
            about = {**self.identity, "kept": self.kept}
            checkpoint.save(self.out, state, about, self.recipe.save if better else None)
            if self.settings.keep_each:
                checkpoint.keep_part(self.out, self.step, self.recipe.save)
        sheet.save(picture, self.out / f"samples-{self.step}.png")
        return {"figures": figures, "sheet": picture}

    @torch.no_grad()
    def _measure(self) -> tuple[dict[str, float], np.ndarray]:
        module, encode, two = self.recipe.module, self.recipe.encode, self._samples([0, 1])
        figures = {**self.recipe.measure(two.x0, two.text), **self.objective.exam(module, encode)}
        return figures, sheet.draw(self.model, module, self.shown, encode)

    def _better(self, figures: dict[str, float]) -> bool:
        """Whether the trained part of this checkpoint is to be kept in place of the one before."""
        if not self.objective.best:
            return True
        value = figures[self.objective.best]
        better = value > self.best or self._none_kept
        self.best = value if value > self.best else self.best  # also where the figure is no number
        return better

    @property
    def _none_kept(self) -> bool:
        """Whether the newest part is kept for want of another one, or of a figure to choose by."""
        return not (self.objective.best and self.kept)

    def _averaged(self) -> Any:
        return checkpoint.swapped(self.trained, self.average) if self.average else _nothing()


def _course(step: int, total: int, settings: Settings) -> float:
    """The learning rate's factor at a step, counted from 0."""
    warm = min(1.0, (step + 1) / settings.warm_up) if settings.warm_up else 1.0
    if settings.course == "constant":
        return warm
    return warm * 0.5 * (1 + math.cos(math.pi * step / total))


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()
