"""This process: what libraries are told before they load, where it listens, its devices, its rank, Ctrl+C, versions."""

import ctypes
import errno
import os
import platform
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from maskunet import __version__

if TYPE_CHECKING:
    import torch

DEFAULTS = {
    # How long a thread spins before it sleeps. docs/speed.md, "Two cores": a machine alone is faster with more, a
    # shared one with less.
    "GOMP_SPINCOUNT": "3000",
    # On a GPU: memory in pieces that grow. docs/speed.md, "Memory": others leave a gigabyte unused in between.
    "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
}

# Of glibc's malloc (malloc.h): the memory of an update, freed, is kept for the next one. By default it goes back to the
# system, which hands it out again page by page, at least 5,000 an update of tabletop. docs/speed.md, "Freed memory".
KEPT = {
    -8: 1,  # M_ARENA_MAX: one store for all threads; a thread's own gives back whatever is kept
    -3: 32 << 20,  # M_MMAP_THRESHOLD: what is larger, such as weights, always goes back
    -1: 512 << 20,  # M_TRIM_THRESHOLD: so much is kept at most
}
USERS = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
HOSTS = "--host takes an address of this computer: 127.0.0.1 for it alone, 0.0.0.0 for everyone who reaches it"


def prepare() -> None:
    """Set the defaults that the user has not set."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if platform.libc_ver()[0] == "glibc" and not any(name.startswith(USERS) for name in os.environ):
        for option, value in KEPT.items():
            ctypes.CDLL(None).mallopt(option, value)


def address() -> tuple[str, str]:
    """The host and port at which the page listens where no flag says otherwise, from the variables that gradio has."""
    return os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1", os.environ.get("GRADIO_SERVER_PORT") or "7860"


def port_of(text: str) -> int:
    """A port as it was given.

    Raises:
        ValueError: it is none.
    """
    if not (re.fullmatch("[0-9]{1,5}", text) and 1 <= int(text) <= 65535):
        raise ValueError(f"--port (or GRADIO_SERVER_PORT) takes a number from 1 to 65535, not “{text}”")
    return int(text)


def check_listening(host: str, port: int) -> None:
    """See that the page can listen there, before anything is loaded.

    Raises:
        ValueError: it cannot; says why and what to give instead.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":  # as the server does: a port that was left a moment ago is free
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except (socket.gaierror, UnicodeError):
        raise ValueError(f"There is no computer “{host}”; {HOSTS}.") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ValueError(f"Port {port} is in use; end what uses it, or give another one with --port.") from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise ValueError(f"You may not listen at port {port}; give one of 1024 or more with --port.") from None
        raise ValueError(f"This computer is not at “{host}”; {HOSTS}.") from None


def place() -> tuple[int, int]:
    """This process's rank and how many there are, from RANK and WORLD_SIZE; 0 and 1 where it is alone.

    Raises:
        ValueError: the two do not fit together.
    """
    rank, world = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if not (rank.isdecimal() and world.isdecimal() and int(rank) < int(world)):
        raise ValueError(
            f"RANK is “{rank}” and WORLD_SIZE “{world}”; the rank must be a number from 0 to one less than the "
            "size. Start with torchrun or accelerate launch, or unset both."
        )
    return int(rank), int(world)


def device_of(given: str | None) -> str | None:
    """The device for this process: with several, each has a GPU of its own unless another kind is given."""
    import torch

    rank = os.environ.get("LOCAL_RANK")
    alone = rank is None or given not in (None, "cuda") or not torch.cuda.is_available()
    return given if alone else f"cuda:{rank}"


@contextmanager
def interruptible() -> Iterator[Callable[[], str]]:
    """Ctrl+C is noted, so that the work can end in good order; a second one ends it at once.

    Gives a function that returns why to stop, or an empty text. For the main thread only.
    """
    pressed = []

    def on_interrupt(number: int, frame: Any) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append("Stopped on request.")

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield lambda: pressed[0] if pressed else ""
    finally:
        signal.signal(signal.SIGINT, before)


def choose_device(name: str | None = None) -> "torch.device":
    """The device of that name, or the best one here: CUDA, then MPS, then the CPU.

    Raises:
        ValueError: no such device on this machine; says which there are.
    """
    import torch

    here = ["cpu"]
    if torch.backends.mps.is_available():
        here.insert(0, "mps")
    if torch.cuda.is_available():
        here[:0] = ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if name and name not in here:
        raise ValueError(f"There is no device “{name}” on this machine. It has: {', '.join(here)}.")
    return torch.device(name or here[0])


def choose_dtype(device: "torch.device") -> "torch.dtype":
    """bfloat16 on CUDA devices that have it, float16 on older ones, float32 elsewhere.

    The gradient goes through the VAE and the U-Net, where float16 overflows at 65,504 and
    underflows without loss scaling; bfloat16 has float32's range at the same size.
    """
    import torch

    if device.type != "cuda":
        return torch.float32
    with torch.cuda.device(device):
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if native else torch.float16


def device_name(device: "torch.device") -> str:
    """The device in words, such as "NVIDIA H200, 139 GB" or "CPU, 2 cores"."""
    import torch

    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        return f"{about.name}, {about.total_memory / 2**30:.0f} GB"
    if device.type == "mps":
        return "Apple GPU"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"CPU, {cores} core{'s' if cores != 1 else ''}"


LIBRARIES = ("torch", "diffusers", "transformers", "open_clip_torch", "gradio")


def free_memory(device: "torch.device") -> int:
    """Bytes that are free for tensors on a device now."""
    import psutil
    import torch

    if device.type != "cuda":
        return psutil.virtual_memory().available
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of the libraries that decide a picture."""
    return {"python": platform.python_version(), "maskunet": __version__, **_libraries()}


@cache
def _libraries() -> dict[str, str]:
    """The versions of others' libraries; to look them up takes as long as a step of a small model."""
    found = {}
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
