"""LoRA files and embeddings in the form, in links, and in what is said of a run; no browser."""

import re
from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import pytest

from maskunet.records import Card, Request
from maskunet.records.added import NOTHING, Added, check
from maskunet.ui import additions, controls, links
from maskunet.ui.html import pictures

CARDS = {
    "loras": [
        Card(name="metal", title="metal", summary="trigger words: shiny; license unknown"),
        Card(name="old", title="old", summary="", available=False, reason="“old.pt” is a pickle."),
    ],
    "embeddings": [Card(name="cat", title="cat", summary="", kind="<cat>")],
}


@pytest.fixture
def form():
    with gr.Blocks():
        return additions.build(CARDS, gr.HTML())


def asked(*loras, weights=(0.5, 1, None, 1), masks="base", embeddings=("cat",)):
    given = controls.Values(
        "a cube", "", 1, "tabletop", "plain", "", None, None, "", None, None, {}, [*loras], *weights
    )
    return controls.request(given._replace(lora_masks=masks, embeddings=[*embeddings]))


def test_the_form_makes_the_request_and_the_request_the_form(form):
    request = asked("metal", "style v1.5")
    assert request.loras == ("metal:0.5", "style v1.5:1") and request.embeddings == ("cat",)
    assert request.added == Added((("metal", 0.5), ("style v1.5", 1.0)), (("cat", ""),), "base")
    loras, *weights, masks, embeddings, tokens, about, before = form.fill(links.fields(request))
    assert loras.value == before == ["metal", "style v1.5"] and embeddings.value == ["cat"] and masks.value == "base"
    assert [(each.value, each.visible) for each in weights] == [(0.5, True), (1.0, True), (1, False), (1, False)]
    assert (
        f"<b>metal</b>: {CARDS['loras'][0].summary}<" in about and "<b>style v1.5</b>: This file is not here.<" in about
    )
    assert 'data-word="&lt;cat&gt;"' in tokens
    empty = form.fill(links.fields(asked(embeddings=())))
    assert (
        empty[0].value == [] and not empty[1].visible and empty[-3] == empty[-2] == ""
    )  # what stood there before is gone
    assert all("__type__" in each for each in form.fill({"prompt": "a"}))  # nothing is said of them: as they are


def test_what_a_file_says_is_neither_markdown_nor_html():
    cards = {**CARDS, "loras": [Card(name="<i>", title="x", summary="__word__ [a](https://b.c) <b>")]}
    with gr.Blocks():
        shown = additions.build(cards, gr.HTML())._about(["<i>"])
    assert shown == '<p class="hint"><b>&lt;i&gt;</b>: __word__ [a](https://b.c) &lt;b&gt;</p>'


def test_a_link_carries_them_and_one_without_says_nothing_of_them():
    request = asked("metal", "style v1.5", weights=(-0.5, 1, 1, 1))
    read, _ = links.read(links.query(request))
    assert {name: read[name] for name in links.ADDED} == {
        "loras": ("metal:-0.5", "style v1.5:1"), "embeddings": ("cat",), "lora_masks": "base",
    }  # fmt: skip
    plain = links.query(asked(embeddings=()))
    assert "lora" not in plain and "embeddings" not in plain
    assert not {*links.ADDED} & {*links.read("?loras=../x:1&embeddings=%00&lora_masks=both")[0]}


@pytest.mark.parametrize(("given", "said"), [
    ({"loras": ["a"] * 5, "weights": (1, 1, 1, 1)}, "at most 4 go together"),
    ({"loras": ["metal", "metal"]}, "is named twice"),
    ({"loras": ["../metal"]}, "is no name of a file"),
    ({"loras": ["metal"], "weights": (9, 1, 1, 1)}, "from -5 to 5"),
    ({"loras": ["metal"], "weights": ("x", 1, 1, 1)}, "is “x”"),
    ({"loras": ["metal"], "masks": "both"}, "must be one of merged and base"),
    ({"loras": [], "embeddings": ["cat:two words"]}, "without spaces"),
    ({"loras": [], "embeddings": ["a\0"]}, "is no name of a file"),
])  # fmt: skip
def test_whatever_a_visitor_sends_is_checked(given, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        asked(*given.pop("loras"), **given)


def test_requests_hold_nothing_but_texts():
    for loras in ("metal", [1], {"metal": 1}, None):
        with pytest.raises(ValueError, match="must be a list of texts"):
            Request(prompt="a", loras=loras)
    assert Request(prompt="a", loras=["metal"]).loras == ("metal:1",)  # as JSON gives it


def test_a_request_is_made_only_with_what_it_asks_for():
    here = Added((("metal", 0.5),), (("cat", "<cat>"),))
    check(NOTHING, here)  # leaves it to the model
    check(here._replace(embeddings=(("cat", ""),)), here)
    for other in (Added((("metal", 0.7),)), here._replace(lora_masks="base"), Added((), (("cat", "<dog>"),))):
        with pytest.raises(ValueError, match="This was made with --"):
            check(other, here)
    with pytest.raises(ValueError, match=re.escape("--lora metal:0.5 --embedding cat:<cat>, named after their files")):
        check(here, NOTHING)


def test_what_is_said_of_a_run_names_them():
    run = SimpleNamespace(
        request=replace(asked("metal"), preset=""), device="cpu", created="2026-01-01", state="done", note="", keep_ratio=1.0,
        rewards={}, base_rewards={}, seconds=1.0, base_seconds=1.0, unet_calls=1, base_unet_calls=1,
    )  # fmt: skip
    assert "plain, LoRA metal at 0.5, masks on the base’s weights alone, embedding cat; on cpu" in pictures.facts(
        run, {}
    )
