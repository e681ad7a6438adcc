"""The shape of the published training-free loop, written anew from a description of what it does and wastes.

It is the algorithm of the preset "official" and finds the same masks; only the way is longer. Every waste is
marked. What the published code also gets wrong without costing time is not repeated.
"""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskunet.diffusion import classifier_free, dpmpp_2m_step
from maskunet.masks.mask import noise_for, straight_through
from maskunet.masks.sites import find_sites
from maskunet.methods.base import Reporter, finish, mask_generator
from maskunet.models.base import DiffusionModel
from maskunet.records import Request, StepEvent
from maskunet.rewards.base import WeightedRewards


def run(
    model: DiffusionModel,
    rewards: WeightedRewards,
    request: Request,
    settings: Any,
    *,
    keep_gradients: bool = True,
) -> Iterator[StepEvent]:
    """Optimize one set of masks per timestep; one event per update, before the optimizer, and a final one.

    Args:
        settings: `methods.maskunet_free.Settings` of the preset "official", or with other numbers of updates.
        keep_gradients: keep the weights' gradients, as the published code does; else let go of each once it
            is computed: the same work in less memory.
    """
    steps, generator = request.steps or model.steps, mask_generator(request)
    report = Reporter(model, steps, request)
    x_t = model.noise(request.seed)
    logits = on_the_cpu(model, settings.start)
    optimizer = torch.optim.AdamW(logits.values(), lr=settings.learning_rate)
    with thawed((model.unet, model.vae, model.text_encoder), keep_gradients):
        for step in range(steps):
            for value in logits.values():
                value.data.fill_(settings.start)
            for update in range(settings.early_updates if step < settings.early_steps else settings.updates):
                # Waste: a prompt that no cache knows, so that the rewards read it anew; spaces change no token.
                asked = replace(request, prompt=request.prompt + " " * (1 + report.unet_calls))
                loss, x0, (t, t_prev) = look(model, rewards, asked, step, steps, x_t, logits, generator)
                loss.backward()
                report.unet_calls += 1
                yield report(step, t, loss=float(loss.detach()), update=update)
                optimizer.step()
                optimizer.zero_grad()
                gc.collect()  # Waste.
                if model.device.type == "cuda":
                    torch.cuda.empty_cache()  # Waste: the next iteration asks for the same memory again.
            x_t, _ = dpmpp_2m_step(model.schedule, x_t, x0.detach(), None, t, t_prev)
    yield finish(model, rewards, request, report, x_t)


def look(
    model: DiffusionModel, rewards: WeightedRewards, request: Request, step: int, steps: int, x_t: Tensor,
    logits: Mapping[str, Tensor], generator: torch.Generator,
) -> tuple[Tensor, Tensor, tuple[int, int]]:  # fmt: skip
    """From the prompt to the loss, all of it anew: the loss, the predicted x0, and the timestep and the next."""
    text = model.encode(request.prompt, request.negative_prompt)  # Waste: it is the same at every iteration.
    schedule = replace(model.schedule)  # Waste: without the table that the last one has made.
    t, t_prev = schedule.linspace_pairs(steps)[step]
    noise = noise_for(logits, "one_sided", generator)  # Waste: in the CPU's memory.
    with hooked(model.unet, logits, noise):  # Waste: put on and taken off at every iteration.
        # Waste: the blocks before the first mask, whose result is the same at every iteration.
        output = model.unet(torch.cat((x_t, x_t)), t, **text.arguments).sample
    scale = model.guidance if request.guidance is None else request.guidance
    x0, _ = schedule.x0_eps(classifier_free(output, scale), x_t, t)
    scores = rewards(model.decode(x0), [request.prompt])
    return F.relu(2 - scores["image_reward"]).sum() + 5 * (1 - scores["hpsv2"]).sum(), x0, (t, t_prev)


@contextmanager
def hooked(unet: nn.Module, logits: Mapping[str, Tensor], noise: Mapping[str, Tensor]) -> Iterator[None]:
    """Make a mask at every call of a site's layer and put its masked result in the place of its own."""

    def hook(name: str) -> Any:
        def replaced(layer: nn.Module, given: tuple[Tensor], result: Tensor) -> Tensor:
            mask = straight_through(logits[name], noise[name])
            # Waste: the layer has been computed once already, and the mask comes from the CPU's memory.
            return F.linear(given[0], layer.weight * mask.to(layer.weight), layer.bias)

        return replaced

    handles = [unet.get_submodule(name).register_forward_hook(hook(name)) for name in logits]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def thawed(networks: Sequence[nn.Module], keep_gradients: bool) -> Iterator[None]:
    """Waste: let the backward pass compute every weight's gradient too, which nobody uses."""
    parameters = [parameter for network in networks for parameter in network.parameters()]
    handles = []
    for parameter in parameters:
        parameter.requires_grad_()
        if not keep_gradients:
            handles.append(parameter.register_post_accumulate_grad_hook(_let_go))
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(False).grad = None
        for handle in handles:
            handle.remove()


def _let_go(parameter: Tensor) -> None:
    parameter.grad = None


def on_the_cpu(model: DiffusionModel, start: float) -> dict[str, Tensor]:
    """The logits by site. Waste: in the CPU's memory, from where every mask is copied."""
    return {site.name: torch.full(site.shape, start, requires_grad=True) for site in find_sites(model.unet)}
