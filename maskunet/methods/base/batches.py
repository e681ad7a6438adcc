"""How many pictures share a U-Net call, and pictures made so."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch

from maskunet.failures import sentence
from maskunet.machine import free_memory
from maskunet.methods.base.spec import MethodSpec
from maskunet.models.base import DiffusionModel
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards

Asked, Made = TypeVar("Asked"), TypeVar("Made")
MOST = {"cpu": 4}  # more gain nothing there
MOST_ELSEWHERE = 16
VALUES = 5_000  # that a guided U-Net call holds for each value of a latent; 4,200 counted on Stable Diffusion 1.5
SHARE = 0.5  # of the free memory that a batch may take


def fitting(model: DiffusionModel) -> int:
    """How many of the model's pictures may share a U-Net call, by the device and its free memory; at least 1."""
    most = MOST.get(model.device.type, MOST_ELSEWHERE)
    return max(1, min(most, int(SHARE * free_memory(model.device) / memory(model))))


def memory(model: DiffusionModel) -> float:
    """Bytes that each picture of a guided U-Net call takes."""
    return torch.Size(model.latent_shape).numel() * VALUES * torch.finfo(model.dtype).bits / 8


def together(
    spec: MethodSpec,
    model: DiffusionModel,
    rewards: WeightedRewards,
    requests: Sequence[Request],
    settings: Any,
) -> Iterator[tuple[int, StepEvent]]:
    """The events of requests that differ in prompt and seed alone, by their number.

    They share their U-Net calls where the method can (`Sampled`), and come one after the other where it cannot.
    A picture made with others differs from the same one made alone by rounding; `seconds` are a picture's share.
    """
    if len(requests) > 1 and spec.shares(settings):
        for number, event in spec.run.together(model, rewards, requests, settings):
            yield number, replace(event, seconds=event.seconds / len(requests))
        return
    for number, request in enumerate(requests):
        for event in spec.run(model, rewards, request, settings):
            yield number, event


def halved(
    make: Callable[[Sequence[Asked]], list[Made] | None], some: Sequence[Asked]
) -> Iterator[tuple[Asked, Made | str | None]]:
    """Each picture, or why there is none, or None if it was stopped; what fails together is made in halves.

    Args:
        make: the pictures of some that share U-Net calls, or None if it was stopped.
    """
    try:
        yield from zip(some, make(some) or [None] * len(some), strict=True)
    except (ValueError, torch.OutOfMemoryError) as error:
        if len(some) > 1:
            half = len(some) // 2
            yield from halved(make, some[:half])
            yield from halved(make, some[half:])
        elif isinstance(error, ValueError):
            yield some[0], sentence(error)
        else:
            raise
