"""COCO's captions: JSON with `images` and `annotations`, of which each picture has about five."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class First:
    """A picture's caption with the lowest annotation id, and how many more it has."""

    id: int
    text: str
    others: int = 0


def is_coco(found: Any) -> bool:
    """Whether a file's JSON is in this format."""
    return isinstance(found, dict) and isinstance(found.get("annotations"), list)


def first_captions(found: Mapping[str, Any], name: str) -> dict[int, First]:
    """The first caption of each picture by its image id, in the order of these; where entries have no id, the first.

    Raises:
        ValueError: an annotation is malformed; names it by its number, counted from 1.
    """
    first: dict[int, tuple[int, str]] = {}
    counts: dict[int, int] = {}
    for number, entry in enumerate(found["annotations"], 1):
        try:
            image, caption = int(entry["image_id"]), entry["caption"].strip()
            own = int(entry.get("id", number))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(
                f"Annotation {number} of “{name}” is none of COCO's: it needs id, image_id and caption."
            ) from error
        if caption:
            first[image] = min(first.get(image, (own, caption)), (own, caption))
            counts[image] = counts.get(image, 0) + 1
    return {image: First(own, caption, counts[image] - 1) for image, (own, caption) in sorted(first.items())}


def file_names(found: Mapping[str, Any]) -> dict[int, str]:
    """The file of each picture by its image id.

    Raises:
        ValueError: the images are not in COCO's format.
    """
    try:
        return {int(image["id"]): str(image["file_name"]) for image in found["images"]}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError("images need id and file_name") from error
