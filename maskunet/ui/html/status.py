"""The line under a button: how far its work is, what came of it, or why it failed."""

from html import escape

STARTED = '<div class="status">…</div>'


def going(name: str, far: str, clock: str, share: float | None = None) -> str:
    """Work that goes on.

    Args:
        name: what it does, read out when it changes. far: goes on from it, and is not read out, as it changes all the time.
        clock: the time gone, and what may be left. share: how much is done, 0 to 1; None where that is not known.
    """
    bar = "" if share is None else f'<div class="bar"><i style="width:{share:.1%}"></i></div>'
    return (
        f'<div class="status"><span><span role="status">{escape(name)}</span>{escape(far)}</span>'
        f"<span>{escape(clock)}</span>{bar}</div>"
    )


def said(text: str, clock: str = "") -> str:
    """What came of it, or is to be known before; nothing where there is nothing to say."""
    gone = f"<span>{escape(clock)}</span>" if clock else ""
    return f'<div class="status" role="status"><span>{escape(text)}</span>{gone}</div>' if text else ""


def failed(text: str) -> str:
    """Why there is nothing."""
    return f'<div class="status failed" role="alert">{escape(text)}</div>'
