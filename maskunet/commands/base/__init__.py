"""What commands share: options made from a dataclass, the usual options, and how progress is told."""

from maskunet.commands.base.options import (
    BatchOptions,
    CommandSpec,
    DeviceOptions,
    MethodOptions,
    ModelOptions,
    Options,
    SamplingOptions,
    UsageError,
    command_line,
    key_value,
    option,
    seed_option,
)
from maskunet.commands.base.progress import bar, follow, make_folder, resumable

__all__ = [
    "BatchOptions",
    "CommandSpec",
    "DeviceOptions",
    "MethodOptions",
    "ModelOptions",
    "Options",
    "SamplingOptions",
    "UsageError",
    "bar",
    "command_line",
    "follow",
    "key_value",
    "make_folder",
    "option",
    "resumable",
    "seed_option",
]
