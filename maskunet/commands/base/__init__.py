"""What commands share: options made from a dataclass, the usual options, who agrees, and how progress is told."""

from maskunet.commands.base.agree import agree, answered
from maskunet.commands.base.options import CommandSpec, Options, UsageError, check_repeats, command_line, option
from maskunet.commands.base.progress import bar, follow, make_folder, resumable
from maskunet.commands.base.usual import (
    BareModelOptions,
    BatchOptions,
    DeviceOptions,
    MethodOptions,
    ModelOptions,
    SamplingOptions,
    comma_separated,
    key_value,
    seed_option,
    split_option,
)

__all__ = [
    "BareModelOptions",
    "BatchOptions",
    "CommandSpec",
    "DeviceOptions",
    "MethodOptions",
    "ModelOptions",
    "Options",
    "SamplingOptions",
    "UsageError",
    "agree",
    "answered",
    "bar",
    "check_repeats",
    "comma_separated",
    "command_line",
    "follow",
    "key_value",
    "make_folder",
    "option",
    "resumable",
    "seed_option",
    "split_option",
]
