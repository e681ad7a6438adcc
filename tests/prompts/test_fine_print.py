"""What is told of how a prompt is read: what is cut, what counts as letters, which words are unknown."""

import pytest

from maskunet.encoders.pretrained import tokenizer_from
from maskunet.prompts import fine_print
from maskunet.prompts.tokens import unread
from maskunet.tabletop.place import MODEL
from maskunet.tabletop.tasks import TASKS, cases


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizer_from(MODEL / "tokenizer")


def test_what_is_cut_begins_where_the_encoder_ends(tokenizer):
    fits = " ".join(["red"] * 22)
    assert unread(fits, tokenizer) == "" and fine_print.encoder_note(fits, tokenizer) == ""
    assert unread(f"{fits} green cone ", tokenizer) == "green cone"
    assert fine_print.encoder_note(f"{fits} cone", tokenizer, "the negative prompt") == (
        "The text encoder reads 24 tokens of the negative prompt; cut off is “cone”."
    )


@pytest.mark.parametrize(
    ("prompt", "pieces"),
    [
        ("a (red:1.3) cube, (blue)1.2", ["(red:1.3)", "(blue)1.2"]),
        ("((big)) cube [x] and [a|b]", ["((big))", "[x]", "[a|b]"]),
        ("a cube <lora:my_style:0.8> <hypernet:x:1>", ["<lora:my_style:0.8>", "<hypernet:x:1>"]),
        ("a cube BREAK a cone AND a sphere", ["BREAK", "AND"]),
        ("a red++ cube, {small|large}, __color__", ["red++", "{small|large}", "__color__"]),
        ("A CUBE AND A CONE", []),
        ("a low-poly cube, 3:4, it's 1.5 times as large and <3", []),
    ],
)
def test_the_syntax_of_other_programs_is_named(prompt, pieces):
    assert fine_print.literal(prompt) == pieces
    assert all(piece in fine_print.literal_note([prompt, "a cube"]) for piece in pieces)


def test_unknown_words_are_named_and_no_prompt_of_the_tasks_has_any(tokenizer):
    assert fine_print.unknown_note(["A corgi on Mars <lora:zoo:1>"], tokenizer) == (
        "corgi, mars are not words of this small model."
    )
    assert fine_print.unknown_note(["one red cube"], tokenizer) == "one is no word of this small model."
    assert not fine_print.unknown_note(["one red cube"], tokenizer, {"one"})
    assert not fine_print.unknown_note([case.prompt for task in TASKS for case in cases(task, 40)], tokenizer)
    assert fine_print.unknown_note(
        [" ".join(["zebra", "quail", "okapi", "lemur", "gnu", "ibex", "newt", "crow", "moth"])], tokenizer
    ) == ("zebra, quail, okapi, lemur, gnu, ibex, newt, crow and 1 more are not words of this small model.")
