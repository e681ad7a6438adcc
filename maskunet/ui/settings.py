"""Fields for every setting of a method or a recipe: they hold the preset's values, and what differs travels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

SCRIPT = Path(__file__).with_name("settings.js")


def build(form: str, **more: Any) -> gr.HTML:
    """The fields of a form of `html.settings`; as an input they are what is changed, for `changed`."""
    return gr.HTML(
        {}, html_template="${form}", form=form, js_on_load=SCRIPT.read_text(), apply_default_css=False, **more
    )


def anew(form: str, value: Mapping[str, Any] | None = None) -> gr.HTML:
    """Another form in the fields' place, with what `value` says, as `changed` takes it.

    Without one nothing is changed in it, unless the same form is there already, as after a link has filled it in.
    """
    return gr.HTML(form=form) if value is None else gr.HTML(dict(value), form=form)


def changed(value: Any, of: str) -> dict[str, Any]:
    """What was changed in the form of `of`; nothing if the fields are still, or already, those of another one.

    Args:
        value: of the component; from a browser, so it may be anything.
    """
    if not isinstance(value, Mapping) or value.get("of") != of or not isinstance(value.get("set"), Mapping):
        return {}
    return dict(value["set"])
