"""What a voter sees, as HTML fragments: a pair and its question, and at the end what was what."""

import base64
from collections.abc import Mapping
from html import escape
from io import BytesIO

import numpy as np
from PIL import Image

from maskunet.records.votes.moment import Moment, Outcome, Seen
from maskunet.ui import vote_words as words
from maskunet.ui.html import pictures

THUMB = 220  # pixels along the edge, of what was seen


def intro() -> str:
    """What voting is, and a button to begin."""
    return (
        f'<section class="ballot"><p class="said">{words.INTRO}</p><p class="note">{words.KEPT}</p>'
        f'<div class="answers">{_button("begin", words.BEGIN, "go")}</div></section>'
    )


def moment(now: Moment) -> str:
    """Where a voter is."""
    note = f'<p class="note warn" role="status">{escape(now.note)}</p>' if now.note else ""
    if now.outcome is not None:
        return f'<section class="ballot" data-at="{now.at}">{note}{_outcome(now.outcome)}</section>'
    if not now.question:
        inside = f'<p class="said">{words.DONE}</p><div class="answers">{_button("end", words.FINISH, "go")}</div>'
    else:
        inside = _pair(now)
    share = 100 * now.at / now.of
    bar = f'<div class="bar"><i style="width: {share:.0f}%"></i></div>'
    return f'<section class="ballot" data-at="{now.at}">{bar}{note}{inside}{_foot(now)}</section>'


def _pair(now: Moment) -> str:
    # Apart in its direction, so that what turns a prompt's writing around leaves the question as it is.
    prompt = f" <q><bdi>{escape(now.prompt)}</bdi></q>" if now.prompt else ""
    asked = f'<h3 aria-live="polite">{words.ASKED[now.question]}{prompt}</h3>'
    figures = "".join(
        f'<figure><img {pictures.ZOOM} src="{_uri(picture)}" alt="Picture {name}"><figcaption>{name}</figcaption></figure>'
        for picture, name in zip(now.pictures, words.NAMES, strict=True)
    )
    buttons = "".join(_answer(answer) for answer in ("left", "equal", "neither", "right"))
    return f'{asked}<div class="two">{figures}</div><div class="answers">{buttons}</div>'


def _answer(answer: str) -> str:
    return (
        f'<button type="button" data-act="vote" data-answer="{answer}" class="{answer}"><kbd>{words.KEYS[answer]}</kbd> '
        f"{words.ANSWERS[answer]}</button>"
    )


def _button(act: str, text: str, look: str = "") -> str:
    return f'<button type="button" data-act="{act}" class="{look}">{text}</button>'


def _foot(now: Moment) -> str:
    back = _button("undo", words.UNDO, "undo") if now.at else ""
    place = words.where(now.item, now.items) if now.question else ""
    how = f'<span class="how">{words.HOW}</span>' if now.question else ""
    return f"<footer><span>{place}</span>{how}{back}</footer>"


def _outcome(found: Outcome) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in words.HEAD)
    rows = "".join(
        f"<tr><td>{words.OUTCOME_ASKED[one.question]}</td>"
        f"<td>{escape(one.names[0])} <b>{one.preferred[0]} : {one.preferred[1]}</b> {escape(one.names[1])}</td>"
        f"<td>{one.equal}</td><td>{one.neither}</td></tr>"
        for one in found.tallies
    )
    same = f'<p class="note">{words.consistent(found.same, found.repeated)}</p>' if found.repeated else ""
    seen = "".join(map(_seen, found.seen))
    return (
        f'<p class="said">{words.THANKS}</p><div class="wide"><table class="race"><thead><tr>{head}</tr></thead>'
        f'<tbody>{rows}</tbody></table></div>{same}<h4>{words.SEEN}</h4><div class="seen">{seen}</div>'
    )


def _seen(one: Seen) -> str:
    figures = "".join(
        f'<figure><img {pictures.ZOOM} src="{_thumb(picture)}" alt="{escape(name, quote=True)}">'
        f"<figcaption>{escape(name)}</figcaption></figure>"
        for picture, name in zip(one.pictures, one.names, strict=True)
    )
    said = "; ".join(f"{words.OUTCOME_ASKED[q]}: {_yours(answer, one.names)}" for q, answer in one.answers.items())
    return f"<article><p>{escape(one.prompt)}</p><div>{figures}</div><small>{escape(said)}</small></article>"


def _yours(answer: str, names: tuple[str, str]) -> str:
    known: Mapping[str, str] = {"left": names[0], "right": names[1]}
    return words.YOURS[answer].format(**{answer: known.get(answer, "")})


def _uri(png: bytes) -> str:
    """The picture itself, so that no address says anything of it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _thumb(png: bytes) -> str:
    with Image.open(BytesIO(png), formats=("PNG",)) as image:
        return pictures.uri(np.asarray(image.convert("RGB")), THUMB)
