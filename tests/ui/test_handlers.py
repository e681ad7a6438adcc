"""What cannot be done is told on the page in the sentence it was said in, of functions and of generators."""

import inspect

import gradio as gr
import pytest

from maskunet.ui.handlers import told


def refuse(asked: str, visitor: gr.Request) -> str:
    """Say no to some."""
    if asked == "no":
        exec('raise ValueError("<b>no</b> & no more.")', {"__name__": "maskunet.any"})  # as a line of ours says it
    return asked


def refuse_later(asked: str):
    yield "a"
    yield refuse(asked, None)


def test_a_refusal_is_told_as_text_and_everything_else_passes():
    assert told(refuse)("yes", visitor=None) == "yes"
    with pytest.raises(gr.Error, match=r"&lt;b&gt;no&lt;/b&gt; &amp; no more\.") as caught:
        told(refuse)("no", None)
    assert isinstance(caught.value.__cause__, ValueError) and not caught.value.print_exception


def test_a_generator_stays_one_and_gradio_sees_the_handlers_arguments():
    assert inspect.isgeneratorfunction(told(refuse_later)) and list(told(refuse_later)("b")) == ["a", "b"]
    made = told(refuse_later)("no")
    assert next(made) == "a"
    with pytest.raises(gr.Error, match="no more"):
        next(made)
    assert inspect.signature(told(refuse)) == inspect.signature(refuse)
