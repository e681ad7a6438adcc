"""A method in one file."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from maskunet.methods.base import MethodSpec, Predict, Prediction, Sampled, Sampling, Solver
from maskunet.models.base import DiffusionModel


@contextmanager
def looking(model: DiffusionModel, sampling: Sampling, settings: Solver) -> Iterator[Predict]:
    def predict(step: int, t: int, x_t: Tensor) -> Prediction:
        return Prediction(x_t, sampling.plain(x_t, t))

    yield predict


SPEC = MethodSpec(
    name="dropped_method",
    title="Dropped method",
    kind="rival",
    summary="A method in one file.",
    source="a test",
    presets={"only": Solver()},
    run=Sampled(looking),
)
