"""What cannot be done is told on the page in the sentence it was said in, of functions and of generators."""

import inspect

import gradio as gr
import pytest

from maskunet.ui.handlers import Blocks, told
from tests.support.said import refuse as say_no


def refuse(asked: str, visitor: gr.Request) -> str:
    """Say no to some."""
    if asked == "no":
        say_no("<b>no</b> & no more.")
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


def check(number: int, words: list[str] | None, anything, visitor: gr.Request) -> str:
    return f"{number} {words} {anything}"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("1", None, 3), "“number” should be a valid integer"),
        ((True, [], 3), "“number” should be a valid integer"),
        ((1, "ab", 3), "“words” should be a valid list"),
        ((1, ["a", 2], {}), "“words.1” should be a valid string"),
    ],
)
def test_a_value_of_another_type_is_refused_in_a_sentence_that_names_it(given, says):
    assert told(check)(1, ["a"], object, None).startswith("1 ['a'] <class")
    with pytest.raises(gr.Error) as caught:
        told(check)(*given, None)
    assert caught.value.message == f"{says}. Reload the page and try again."


def test_what_nobody_foresaw_is_a_reference_and_every_handler_of_a_page_answers_so(caplog):
    with Blocks() as demo:
        box = gr.Textbox()
        box.change(lambda text: 1 / 0, box, box)
        box.submit(None, box, box, js="(text) => text")
        demo.guard()
    handler, none = (event.fn for event in demo.fns.values())
    with pytest.raises(gr.Error, match=r"^'Something failed \(ref (\w{6})\)\. The log has the details\.'$") as caught:
        handler("a")
    assert none is None and caught.value.message.split("ref ")[1][:6] in caplog.text
