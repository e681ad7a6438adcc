"""How strongly each step is guided: by the scale within an interval of the steps, and not at all outside of it.

Kynkäänniemi et al. 2024 (2404.07724), "Applying guidance in a limited interval improves sample and distribution quality in diffusion
models". A step without guidance needs the prompt's half alone.
"""

from dataclasses import dataclass

from maskunet.methods.base.settings import Solver
from maskunet.models.base import DiffusionModel
from maskunet.records import Request


@dataclass(frozen=True, slots=True)
class Guidance:
    """The guidance scale of each step.

    Attributes:
        scale: within the interval; 1 and less is no guidance. guided: the timesteps within it.
    """

    scale: float
    guided: frozenset[int]

    def at(self, t: int) -> float:
        """The scale at a timestep: 1, no guidance, outside of the interval."""
        return self.scale if t in self.guided else 1.0

    def calls(self, t: int) -> float:
        """What one prediction at a timestep counts as: the prompt's half alone as half a call, if others are guided."""
        return 0.5 if self.scale > 1 and t not in self.guided else 1.0


def prompt_half(guidance: Guidance) -> float:
    """What a call for the prompt alone counts as, such as one whose gradient moves the latents."""
    return 0.5 if guidance.scale > 1 else 1.0


def guidance_of(model: DiffusionModel, request: Request, settings: Solver) -> Guidance:
    """The request's scale, else the model's, in the settings' interval.

    Raises:
        ValueError: guidance ends before it begins.
    """
    begin, end = settings.guidance_from, settings.guidance_until
    if begin > end:
        raise ValueError(
            f"Guidance ends after {end} of the steps, before it begins after {begin}. Set `guidance_from` to at most "
            "`guidance_until`."
        )
    pairs = steps_of(model, request)
    inside = pairs[round(begin * len(pairs)) : round(end * len(pairs))]
    return Guidance(model.guidance if request.guidance is None else request.guidance, frozenset(t for t, _ in inside))


def steps_of(model: DiffusionModel, request: Request) -> list[tuple[int, int]]:
    """The (t, t_prev) pairs of a request, in sampling order."""
    return model.schedule.pairs(request.steps or model.steps)
