"""Fields for every setting of a method or a recipe: they hold the preset's values, and what differs travels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from maskunet.records import Card
from maskunet.ui.html.settings import form

SCRIPT = Path(__file__).with_name("settings.js")


def build(fields: str, **more: Any) -> gr.HTML:
    """The fields of a form of `html.settings`; as an input they are what is changed, for `changed`."""
    return gr.HTML(
        {},
        html_template="${form}",
        form=fields,
        js_on_load=SCRIPT.read_text(encoding="utf-8"),
        apply_default_css=False,
        **more,
    )


def anew(fields: str, value: Mapping[str, Any] | None = None) -> gr.HTML:
    """Another form in the fields' place, with what `value` says, as `changed` takes it.

    Without one nothing is changed in it, unless the same form is there already, as after a link has filled it in.
    """
    return gr.HTML(form=fields) if value is None else gr.HTML(dict(value), form=fields)


def changed(value: Any, of: str) -> dict[str, Any]:
    """What was changed in the form of `of`; nothing if the fields are still, or already, those of another one.

    Args:
        value: of the component; from a browser, so it may be anything.
    """
    if not isinstance(value, Mapping) or value.get("of") != of or not isinstance(value.get("set"), Mapping):
        return {}
    return dict(value["set"])


def of_method(card: Card, preset: str, titles: Mapping[str, str]) -> str:
    """The fields of a method's settings; another method's preset, of a moment ago, counts as the first."""
    preset = preset if preset in card.presets else next(iter(card.presets))
    return form(card.presets[preset], f"{card.name}/{preset}", titles, key="set")
