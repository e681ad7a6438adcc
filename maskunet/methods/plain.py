"""The base model as it is: every weight kept. The first control of everything else."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from maskunet.methods.base import MethodSpec, Predict, Prediction, Sampled, Sampling, Solver
from maskunet.models.base import DiffusionModel


@contextmanager
def looking(model: DiffusionModel, sampling: Sampling, settings: Solver) -> Iterator[Predict]:
    """The plain U-Net with classifier-free guidance."""
    text, guidance = sampling.text, sampling.guidance

    def predict(step: int, t: int, x_t: Tensor) -> Prediction:
        return Prediction(x_t, model.predict_x0(x_t, t, text, guidance.at(t)))

    yield predict


SPEC = MethodSpec(
    name="plain",
    title="Unmasked",
    kind="control",
    summary="The base model with every weight kept.",
    source="DPM-Solver++ 2M (Lu et al. 2022) with classifier-free guidance (Ho and Salimans 2022)",
    raced=("", "@7.5", "/guided_first"),
    presets={
        "second_order": Solver(),
        "first_order": Solver(second_order=False),
        "guided_first": Solver(guidance_until=0.53),
    },
    run=Sampled(looking),
)
