"""What a run.json, or the PNG of a run, says of how it was made; checked like something typed by hand."""

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from PIL import Image

from maskunet import plugins
from maskunet.prompts.words import shortened
from maskunet.records import Request
from maskunet.records.run import STEERED_BY

KEY = "maskunet"  # of the text chunk in a PNG
MAX_RECORD = 2**20  # bytes of a run.json
MAX_PICTURE = 32 * 2**20  # bytes of a PNG


def parse(data: bytes) -> dict[str, Any]:
    """The record in a run.json, a video.json or in a PNG that a run wrote.

    Raises:
        ValueError: too large, or none of them; says why.
    """
    if data.startswith(b"\x89PNG"):
        data = _png_text(data)
    if len(data) > MAX_RECORD:
        raise ValueError(f"This record is larger than {MAX_RECORD // 2**20} MB; it was not read.")
    odd: list[str] = []  # NaN and the infinities, which JSON does not have and Python reads
    try:
        record = json.loads(data, parse_constant=odd.append)
    except (ValueError, RecursionError):
        raise ValueError("This file is neither a record, such as run.json, nor a PNG that a run wrote.") from None
    if odd:
        raise ValueError(f"This record has {shortened(odd[0], 20)} in it, which is no number. Write one in its place.")
    if not isinstance(record, dict) or not isinstance(record.get("request"), dict):
        raise ValueError("This file has no request in it. Give a record, such as run.json, or a PNG of a run.")
    return record


def _png_text(data: bytes) -> bytes:
    if len(data) > MAX_PICTURE:
        raise ValueError(f"This PNG is larger than {MAX_PICTURE // 2**20} MB; it was not read.")
    try:
        # Reads the chunks before the pixels only: a picture that unpacks to gigabytes is harmless.
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            text = image.info.get(KEY, "")
    except Exception:
        raise ValueError("This PNG is damaged. Give a run.json or a PNG of a run.") from None
    if not text:
        raise ValueError("This PNG holds no run: it was not made here, or its text was removed.")
    return str(text).encode()


def request_of(record: Mapping[str, Any]) -> Request:
    """The request in a record from `parse`, checked like one typed by hand.

    Raises:
        ValueError: a value is unknown or out of range; says which.
    """
    known = {f.name for f in fields(Request)}
    given = record["request"]
    if unknown := [name for name in given if name not in known]:
        raise ValueError(f"The run's request has an unknown entry “{str(unknown[0])[:40]}”.")
    if "prompt" not in given:
        raise ValueError("The run's request has no prompt.")
    return Request(**given)


def as_made(request: Request, made: Any, presets: Mapping[str, Any]) -> Request:
    """The request with the settings that its run was made with, where its preset means something else by now.

    A setting that is younger than the run has its class's default, and a reward's weight 0: what was done before there
    was one.

    Args:
        made: the run's settings in full, as its record has them. presets: the method's, by name.
    """
    now = presets.get(request.preset or next(iter(presets)))
    if now is None or not isinstance(made, Mapping) or not made:
        return request
    from maskunet.rewards import SPECS as REWARDS

    young = {card.name: 0.0 if card.name in REWARDS else card.default for card in plugins.cards(type(now))}
    values = {card.name: (made.get(card.name, young[card.name]), card.default) for card in plugins.cards(now)}
    moved = {name: then for name, (then, preset) in values.items() if then != preset}
    return replace(request, settings={**moved, **request.settings})


def check_replay(record: Mapping[str, Any], model: str, weights: Mapping[str, str]) -> None:
    """Refuse to replay a run with weights other than its own: the picture would be another one.

    Runs of version 0.2 may not say which rewards steered them; these are let through.

    Args:
        weights: of what is here, as `MethodSpec.weights`.

    Raises:
        ValueError: says which file differs.
    """
    recorded = record.get("weights")
    recorded = recorded if isinstance(recorded, dict) else {}
    for name, digest in weights.items():
        reward = name.removeprefix(STEERED_BY) if name.startswith(STEERED_BY) else ""
        if reward and recorded.get(name, digest) != digest:
            raise ValueError(
                f"This run was steered by another {reward} ({str(recorded[name])[:8]}, here {digest[:8]}), so the same "
                "picture cannot come out. Use the weights of the reward that it was made with."
            )
        if not reward and recorded.get(name) != digest:
            raise ValueError(
                f"This run was made with other weights than this {model} ({name} differs), so the "
                "same picture cannot come out. Give the folder of its weights with --weights."
            )


def other_versions(record: Mapping[str, Any], here: Mapping[str, str]) -> str:
    """A sentence where a run was made, or scored, with other versions than those here, else an empty one.

    Version 0.2 draws random masks and their noise in another way than 0.1, which makes other pictures.

    Args:
        here: of `machine.versions` and of the rewards (`WeightedRewards.versions`).
    """
    from maskunet.rewards import JUDGES, SPECS

    made = record.get("versions")
    made = made if isinstance(made, dict) else {}

    def others(names: Iterable[str]) -> str:
        return ", ".join(
            f"{name} {shortened(str(made[name]), 20)} (here {here[name]})"
            for name in names
            if name in here and made.get(name, here[name]) != here[name]
        )

    drawn, scored = others(("maskunet", "torch", "diffusers", "transformers")), others((*SPECS, *JUDGES))
    sentences = [
        f"This run was made with {drawn}: another picture may come out." if drawn else "",
        f"It was scored by {scored}: its scores do not compare with those made here." if scored else "",
    ]
    return " ".join(filter(None, sentences))
