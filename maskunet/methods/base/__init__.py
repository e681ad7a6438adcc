"""What every method shares: its SPEC, the sampling loop, what it reports, memory."""

from maskunet.methods.base.guidance import Guidance, guidance_of, steps_of
from maskunet.methods.base.loop import Predict, Prediction, Sampled, Sampling, Start, mask_generator, start
from maskunet.methods.base.memory import recomputed, rest
from maskunet.methods.base.report import Reporter, finish, mask_bytes, numbers, to_uint8
from maskunet.methods.base.settings import RewardWeights, Solver, check_sites, objective, sees_all, weights_of
from maskunet.methods.base.spec import KINDS, MethodSpec, decoder_part, filled, read_part, trained_part

__all__ = [
    "Guidance",
    "KINDS",
    "MethodSpec",
    "Predict",
    "Prediction",
    "Reporter",
    "RewardWeights",
    "Sampled",
    "Sampling",
    "Solver",
    "Start",
    "check_sites",
    "decoder_part",
    "filled",
    "finish",
    "guidance_of",
    "mask_bytes",
    "mask_generator",
    "numbers",
    "objective",
    "read_part",
    "recomputed",
    "rest",
    "sees_all",
    "start",
    "steps_of",
    "to_uint8",
    "trained_part",
    "weights_of",
]
