"""What a person is told when something goes wrong: one clear sentence, and no path."""

import dis
import errno
import logging
import re
import secrets

logger = logging.getLogger(__name__)

LONGEST = 1000  # characters that a person is told at once
_PATH = re.compile(r"(^|[\s\"'(=])(~|[A-Za-z]:)?[/\\]\w")
_QUOTED = re.compile("“[^”]*”")  # what somebody gave, such as “/red”, or a file's name; never where it lies


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
    if _is_memory(error):
        return (
            "Out of memory: the picture was not finished. Close other programs that use this "
            "device, or choose a smaller model or fewer updates."
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full. Free some space and try again."
    text = str(error)
    return text if isinstance(error, ValueError) and _is_ours(error) and is_fit(text) else ""


def is_fit(text: str) -> bool:
    """Whether a person may be told it: a few words without a path of this machine."""
    return 0 < len(text) <= LONGEST and not _PATH.search(_QUOTED.sub("“”", text))


def _is_memory(error: BaseException) -> bool:
    """Torch has a kind of its own, by which it is known here without torch; its CPU allocator raises a RuntimeError."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "not enough memory" in str(error)


def _is_ours(error: BaseException) -> bool:
    """Whether a raise statement of this project raised the error; a math error in one of its lines is no sentence."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or not trace.tb_frame.f_globals.get("__name__", "").startswith(("maskunet.", "visualize.")):
        return False
    return trace.tb_frame.f_code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]
