"""What cannot be done is told on the page in the sentence it was said in, of functions and of generators."""

import asyncio
import inspect
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from maskunet.ui.handlers import Blocks, shows_a_run, told
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


def test_a_number_out_of_its_range_is_refused_with_the_name_of_its_field():
    with Blocks() as demo:
        numbers = [gr.Number(label="Seed"), gr.Number(label="Steps", maximum=100), gr.Textbox()]
        numbers[0].change(lambda *values: None, numbers)
    with pytest.raises(gr.Error) as caught, ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, demo.preprocess_data(demo.fns[0], [5000, 5000, ""], SessionState(demo))).result()
    assert caught.value.message == "“Steps”: Value 5000 is greater than maximum value 100."


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


def test_runs_are_drawn_and_packed_one_at_a_time_and_addresses_take_turns():
    order = []

    @shows_a_run
    def draw(name: str) -> str:
        order.append(f"{name} drawn")
        time.sleep(0.05)
        return name

    with Blocks() as demo:
        box, shown = gr.Textbox(), gr.Textbox()
        box.change(draw, box, shown)
        demo.guard()
    shown.postprocess = lambda name: order.append(f"{name} packed")

    async def ask(name, address):
        visitor = SimpleNamespace(client=SimpleNamespace(host=address))
        await demo.process_api(demo.fns[0], [name], state=SessionState(demo), request=visitor)

    async def all_ask():
        await asyncio.gather(*(ask(f"a{i}", "a") for i in range(4)), ask("b0", "b"))

    with ThreadPoolExecutor(1) as pool:  # a browser of other tests has its event loop in this thread
        pool.submit(asyncio.run, all_ask()).result()
    assert order == [f"{name} {done}" for name in ("a0", "b0", "a1", "a2", "a3") for done in ("drawn", "packed")]
