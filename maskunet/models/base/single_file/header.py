"""What a .safetensors file says of itself before a byte of its weights is read, and what is no such file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from maskunet.prompts.words import shortened

MAX_HEADER = 2**24  # bytes; Stable Diffusion's are some hundred thousand
MAX_AXES, MAX_SIZE = 8, 2**48  # of a tensor, and along one; the product of larger ones would take minutes
PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
# Bytes of one number; other types are smaller than a byte, or newer than this list.
SIZES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "I8": 1, "U8": 1,
         "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}  # fmt: skip
AGAIN = "Download it again."


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """A file's tensors by name, each a type such as "F16" and a shape, and its metadata."""

    file: str
    types: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]


def read(path: Path) -> Header:
    """The header of a file, checked against the file's size.

    Raises:
        ValueError: it is missing, of another format, cut off or damaged; one sentence with its name.
    """
    file = f"“{shortened(path.name, 80)}”"
    try:
        size = path.stat().st_size
        with path.open("rb") as opened:
            start = opened.read(64)
            _refuse_others(path, start)
            length = int.from_bytes(start[:8], "little")
            if len(start) < 8 or not 2 <= length <= size - 8:
                raise ValueError(f"{file} is no .safetensors file, or was cut off within its header. {AGAIN}")
            if length > MAX_HEADER:
                raise ValueError(
                    f"{file} has a header of {length:,} bytes; at most {MAX_HEADER:,} are read. Take another file."
                )
            opened.seek(8)
            text = opened.read(length)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}.") from error
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise ValueError(f"{file} has a header that is no JSON: it is damaged. {AGAIN}") from error
    return _checked(file, found, size - 8 - length)


def _refuse_others(path: Path, start: bytes) -> None:
    file = f"“{shortened(path.name, 80)}”"
    if start.startswith(b"version https://git-lfs"):
        raise ValueError(f"{file} is a Git LFS pointer and not the weights. Fetch them: git lfs pull, in its folder.")
    if start.startswith(b"GGUF"):
        raise ValueError(
            f"{file} is a GGUF file, whose weights are quantized. Take the .safetensors in full precision."
        )
    if path.suffix.lower() in PICKLES or start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x04")):
        raise ValueError(
            f"{file} is a pickle, which can run programs, and is not read. If you trust it, save its tensors as "
            ".safetensors: ComfyUI's node CheckpointSave does, or in Python: safetensors.torch.save_file("
            "torch.load(FILE, weights_only=True)['state_dict'], NEW)."
        )


def _checked(file: str, found: Any, room: int) -> Header:
    damaged = ValueError(f"{file} has a header that makes no sense: it is damaged. {AGAIN}")
    if not isinstance(found, dict):
        raise damaged
    metadata = found.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise damaged
    types, shapes, spans = {}, {}, []
    for name, about in found.items():
        try:
            kind, shape, (begin, end) = about["dtype"], tuple(about["shape"]), about["data_offsets"]
            whole = len(shape) <= MAX_AXES and isinstance(kind, str)
            whole = whole and all(type(n) is int and 0 <= n <= MAX_SIZE for n in (*shape, begin, end))
        except (TypeError, KeyError, ValueError):
            whole = False
        if not whole or begin > end or (kind in SIZES and prod(shape) * SIZES[kind] != end - begin):
            raise damaged
        types[name], shapes[name] = kind, shape
        spans.append((begin, end))
    listed = max((end for _, end in spans), default=0)
    if listed > room:
        raise ValueError(
            f"{file} was cut off: its header lists {listed:,} bytes of weights and {room:,} follow. {AGAIN}"
        )
    ends = [0, *(end for _, end in sorted(spans))]  # the format has no byte twice, and none that is no tensor's
    if ends[-1] < room or any(begin != end for (begin, _), end in zip(sorted(spans), ends, strict=False)):
        raise ValueError(f"{file} has bytes that belong to no weights, or to several: it is damaged. {AGAIN}")
    return Header(file=file, types=types, shapes=shapes, metadata=metadata)
