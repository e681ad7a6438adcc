"""The one time-boxed training loop behind every tabletop model: EMA, resume, log, checkpoints."""

import copy
import csv
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from maskunet.records.disk import whole

log = logging.getLogger(__name__)

WARM_UP_STEPS = 100
CHECKPOINT_SECONDS = 120.0


def fit(
    module: nn.Module,
    loss: Callable[[torch.Generator], dict[str, Tensor]],
    folder: Path,
    *,
    minutes: float,
    learning_rate: float,
    ema_decay: float = 0.999,
    weight_decay: float = 1e-2,
    seed: int = 0,
    on_checkpoint: Callable[[nn.Module], dict[str, float]] = lambda ema: {},
) -> nn.Module:
    """Train the parameters of `module` that require gradients for some minutes; resume if interrupted.

    The learning rate warms up, then follows a cosine over the time box down to 2 %. A second call
    with more `minutes` goes on from the checkpoint.

    Args:
        module: what is trained, in place.
        loss: one batch's named losses from a generator; their sum is minimized.
        folder: receives state.pt and log.csv.
        minutes: of training over all calls, as long as this thread had a core: other work beside does not count.
        on_checkpoint: called with the averaged module; what it returns goes to the log.

    Returns:
        The exponential moving average of `module`, in eval mode.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trained = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=learning_rate, weight_decay=weight_decay, betas=(0.9, 0.98))
    ema = copy.deepcopy(module).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    step, elapsed = _resume(folder, module, ema, optimizer, generator)
    saved_at, mark, sums, count = elapsed, time.thread_time(), {}, 0
    module.train()
    while elapsed < minutes * 60:
        cosine = 0.5 + 0.5 * math.cos(math.pi * elapsed / (minutes * 60))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(1, (step + 1) / WARM_UP_STEPS) * (0.02 + 0.98 * cosine)
        losses = loss(generator)
        optimizer.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        step += 1
        _average(ema, module, min(ema_decay, (1 + step) / (10 + step)))
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        count += 1
        elapsed, mark = elapsed + time.thread_time() - mark, time.thread_time()
        if elapsed - saved_at > CHECKPOINT_SECONDS or elapsed >= minutes * 60:
            means = {name: value / count for name, value in sums.items()}
            row = {"step": step, "minutes": elapsed / 60, **means, **on_checkpoint(ema)}
            _save(folder, module, ema, optimizer, generator, step, elapsed, row)
            saved_at, mark, sums, count = elapsed, time.thread_time(), {}, 0
            module.train()
    return ema


def progress(folder: Path) -> tuple[int, float]:
    """Steps and minutes of a training so far, by the last line of its log."""
    with (folder / "log.csv").open(newline="", encoding="utf-8") as file:
        *_, last = csv.DictReader(file)
    return int(float(last["step"])), float(last["minutes"])


def mixed_precision() -> torch.autocast:
    """bfloat16 where the processor computes in it; elsewhere it is imitated and takes ten times as long as float32."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.backends.cpu.get_cpu_capability() == "AVX512")


def _average(ema: nn.Module, module: nn.Module, decay: float) -> None:
    with torch.no_grad():
        pairs = [(a, b) for a, b in zip(ema.parameters(), module.parameters(), strict=True) if b.requires_grad]
        torch._foreach_lerp_([a for a, _ in pairs], [b.detach() for _, b in pairs], 1 - decay)
        for a, b in zip(ema.buffers(), module.buffers(), strict=True):
            a.copy_(b)


def _resume(folder: Path, module, ema, optimizer, generator) -> tuple[int, float]:
    path = folder / "state.pt"
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    module.load_state_dict(state["module"])
    ema.load_state_dict(state["ema"])
    optimizer.load_state_dict(state["optimizer"])
    generator.set_state(state["generator"])
    log.info("resuming at step %d, %.1f minutes", state["step"], state["elapsed"] / 60)
    return state["step"], state["elapsed"]


def _save(folder: Path, module, ema, optimizer, generator, step, elapsed, row) -> None:
    state = {
        "module": module.state_dict(),
        "ema": ema.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generator": generator.get_state(),
        "step": step,
        "elapsed": elapsed,
    }
    with whole.file(folder / "state.pt") as fresh:
        torch.save(state, fresh)
    new = not (folder / "log.csv").exists()
    with (folder / "log.csv").open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(row)
        writer.writerow(f"{value:.5g}" for value in row.values())
    log.info(" ".join(f"{name} {value:.4g}" for name, value in row.items()))
