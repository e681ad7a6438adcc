"""What a person is told when something goes wrong: one clear sentence, and no path."""

import errno
import logging
import re
import secrets

import torch

logger = logging.getLogger(__name__)

_PATH = re.compile(r"(^|[\s\"'“(=])(~|[A-Za-z]:)?[/\\]\w")


def sentence(error: BaseException) -> str:
    """The error in one sentence; what nobody foresaw is logged, and only its reference is told."""
    text = foreseen(error)
    if text:
        return text
    reference = secrets.token_hex(3)
    logger.error("ref %s", reference, exc_info=error)
    return f"Something failed (ref {reference}). The log has the details."


def foreseen(error: BaseException) -> str:
    """The error in one sentence that says what to do, or nothing if it was not foreseen.

    A ValueError raised by a line of this project was written for a person and is passed on.
    """
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or _is_memory(error):
        return (
            "Out of memory: the picture was not finished. Close other programs that use this "
            "device, or choose a smaller model or fewer updates."
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full. Free some space and try again."
    text = str(error)
    if isinstance(error, ValueError) and _is_ours(error) and text and not _PATH.search(text):
        return text
    return ""


def _is_memory(error: BaseException) -> bool:
    """The CPU's allocator raises a plain RuntimeError."""
    return isinstance(error, RuntimeError) and "not enough memory" in str(error)


def _is_ours(error: BaseException) -> bool:
    """Whether the error was raised by a line of this project."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return module.startswith(("maskunet.", "visualize."))
