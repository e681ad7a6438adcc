"""A grid of pictures: what varies along up to three axes, and what is known before and while it is made."""

from dataclasses import dataclass

from maskunet.records.request import Request

FIELDS = ("prompt", "negative_prompt", "seed", "model", "method", "preset", "steps", "guidance")
"""Of a `Request`, those that an axis can vary; besides them every setting of the methods."""
AXES = ("x", "y", "z")
MAX_NAME, MAX_VALUES = 200, 20_000  # characters of an axis


@dataclass(frozen=True, kw_only=True, slots=True)
class GridRequest:
    """A grid as it is asked for.

    Attributes:
        request: what all cells have in common.
        axes: one to three fields or settings with their values, as texts; see `runs.grid.axes`.

    Raises:
        ValueError: there are fewer or more axes, or more than 20,000 characters in one.
    """

    request: Request
    axes: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.axes) <= len(AXES):
            raise ValueError(f"A grid has one to three axes, not {len(self.axes)}.")
        for name, text in self.axes:
            if len(name) > MAX_NAME or len(text) > MAX_VALUES:
                raise ValueError(
                    f"The values of an axis may have {MAX_VALUES:,} characters, and these have {len(text):,}."
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class GridPlan:
    """What a grid will be.

    Attributes:
        names: of the axes x, y and z; `labels`, what stands at their values.
        count: pictures. seconds: about how long they take, None where nothing like them was made yet.
        least: whether they may be more, as a method among them made nothing yet. bytes: about as much of the disk.
        notes: sentences on what a reader may not expect.
    """

    names: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    count: int
    seconds: float | None
    bytes: int
    least: bool = False
    notes: tuple[str, ...] = ()


def cost(seconds: float | None, size: int, *, least: bool = False) -> str:
    """Time and place on the disk in words, such as "about 2 h 5 min and 250 MB".

    Args:
        seconds: None where nobody knows them yet. least: whether it may be more.
    """
    place = f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"
    if seconds is None:
        return f"about {place}; how long it takes is known after the first"
    minutes = round(seconds / 60)
    if seconds < 90:
        said = f"{max(1, round(seconds))} s"
    else:
        said = f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
    return f"{'at least' if least else 'about'} {said} and {place}"
