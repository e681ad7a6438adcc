"""The Intervene tab without a browser: what a click means, what is undone, what is read out."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from maskunet.records import Card, Request
from maskunet.records.causal_map import CausalMap
from maskunet.records.selection import Network, parse
from maskunet.ui.html import intervene as views
from maskunet.ui.interventions import MOST_TRIED, Session, Wish, clicked, decides, directions
from maskunet.ui.tabs import intervene

SITES = tuple(
    f"up_blocks.1.attentions.{layer}.transformer_blocks.0.attn{kind}.to_{role}"
    for layer in (0, 1)
    for kind in (1, 2)
    for role in ("q", "k", "v", "out.0")
)
NETWORK = Network(sites=SITES, heads=(2,) * len(SITES))
V = "block1.layer0.cross.v"


def numbered(*places):
    return [[number, place] for number, place in enumerate(places, 1)]


def click(what, *places):
    return clicked(NETWORK, 15, Session((Wish(what=what),)), numbered(*places)).wish.what


def run(run_id="0" * 12, total=1.0, **more):
    image = np.full((8, 8, 3), 100, np.uint8)
    known = {
        "id": run_id, "request": SimpleNamespace(prompt="<b>", seed=3), "base_image": image, "result_image": image,
        "base_rewards": {"total": 0.5, "hpsv2": 0.1}, "rewards": {"total": total, "hpsv2": 0.2},
        "base_verdict": {}, "verdict": {},
    }  # fmt: skip
    return SimpleNamespace(**{**known, **more})


def test_clicks_remove_halve_and_bring_back():
    assert click("", V) == V
    assert click(V, V) == f"{V}=0.5"
    assert click(f"{V}=0.5", V) == ""
    assert click("", V, V, V) == ""


def test_a_click_on_a_part_of_what_is_out_changes_that_part_alone():
    what = click(V, f"{V}@6-10")
    board = views.Board(NETWORK, parse(what), 15, None)
    states = [board.state(parse(f"{V}@{some}")[0]) for some in ("1-5", "6-10", "11-15")]
    assert states == [0.0, 0.5, 0.0] and board.state(parse(V)[0]) is None
    assert click(what, V) == V  # what is partly out goes out whole


def test_a_typed_text_is_what_clicks_go_on_from():
    assert click("block1.cross=0.5", V) == f"block1.cross=0.5; {V}=1"  # halved so far, so it comes back


def test_a_click_beyond_the_last_step_or_head_means_those_there_are():
    assert click("", f"{V}@11-100") == f"{V}@11-"
    assert click(f"{V}@11-", f"{V}.head0,99@14-20").endswith("=0.5")


@pytest.mark.parametrize(
    "clicks",
    [
        None, "q", [1], [V], [[V]], [[V, 1]], [["1", V]], [[1.0, V]], [[1, V, V]], [[1, [V]]], numbered(*[V] * 51),
        *(numbered(what) for what in ("q; v", "block7", "", "q" * 10_000, "nothing")),
    ],
)  # fmt: skip
def test_clicks_that_no_board_sends_are_refused(clicks):
    with pytest.raises(ValueError):
        clicked(NETWORK, 15, Session(), clicks)


def test_a_click_that_is_sent_again_with_the_next_one_counts_once():
    first, second, third = f"{V}@1-5", f"{V}@6-10", f"{V}@11-15"
    clicks = numbered(first, second, third)
    session = Session()
    for sent in (clicks[:1], clicks[:2], clicks[:1], clicks[2:]):
        session = clicked(NETWORK, 15, session, sent)
    assert session.wish.what == click("", first, second, third)
    undone = session.moved(-1)
    assert clicked(NETWORK, 15, undone, clicks) == undone


def test_every_part_is_a_button_that_says_what_it_is_how_it_is_and_what_it_does():
    cell = {"what": f"{V}@1-5", "n": 32, "distance": 9.0, "distance_low": 8.0, "distance_high": 10.0}
    cell |= dict.fromkeys(("correct", "correct_low", "correct_high", "total", "total_low", "total_high"), -0.25)
    known = CausalMap(cells={f"{V}@1-5": cell}, most=36.0)
    html = views.Board(NETWORK, parse(f"{V}@1-5"), 15, known).html()
    assert html.count("<button") == 1 + 4 + 16 * 4 + 4 * 2  # block, layers, sites with three ranges, heads
    said = "Block 1, layer 0, cross-attention, values, steps 1 to 5: removed; without it the picture moves 9.0 of 255"
    assert said in html and "correct −25 points" in html
    assert html.count("<span>1</span><span>6</span><span>11</span>") == 4  # where ranges begin, over every role
    assert 'data-what="block1.layer0.cross.v@1-5"' in html and "--v:0.500" in html
    # The output's cell is the values' twin.
    assert "output, steps 1 to 5: kept; without it the picture moves 9.0" in html


def test_undo_and_redo_go_through_the_wishes_and_a_new_one_ends_what_was_undone():
    one, two, three = Wish(what="q"), Wish(what="v"), Wish(concept="red", dose=-0.5)
    session = Session().wished(one).wished(two)
    assert session.moved(-1).wish == one and session.moved(-9).wish == Wish() and session.moved(9).wish == two
    again = session.moved(-1).wished(three)
    assert again.wish == three and again.moved(1).wish == three and again.moved(-1).wish == one
    assert session.wished(two) is session


def test_what_was_tried_is_listed_once_and_found_again():
    session = Session()
    for number in range(MOST_TRIED + 5):
        session = session.wished(Wish(what=f"head{number}")).with_run(run(f"{number:012x}"), f"asked {number}")
    assert len(session.tried) == MOST_TRIED and session.known("asked 3") == ""
    assert session.known("asked 20") == f"{20:012x}" and session.found(f"{20:012x}").wish == Wish(what="head20")
    again = session.with_run(run(f"{20:012x}"), "asked 20")
    assert again.tried == session.tried and again.run == f"{20:012x}"
    with pytest.raises(ValueError):
        session.found("f" * 12)
    html = views.tried(session.tried, session.run)
    assert html.count("<button") == MOST_TRIED and html.count("aria-current") == 1
    assert "reward +0.50" in html and "Without head28" in html


def test_the_same_parts_out_of_a_model_with_something_on_it_are_another_picture():
    asked = Request(prompt="a red cube", method="knock_out", settings={"what": "up1"})
    others = (
        {"loras": ("shiny:0.5",)}, {"embeddings": ("mine",)}, {"loras": ("shiny",), "lora_masks": "base"}, {"seed": 7},
    )  # fmt: skip
    keys = {decides(asked), *(decides(replace(asked, **other)) for other in others)}
    assert len(keys) == 1 + len(others) and decides(replace(asked, previews=False)) == decides(asked)


def test_the_pair_has_rewards_and_verdicts_and_every_text_is_only_text():
    html = views.pair(
        run(verdict={"right": False, "saw": "<i>"}, base_verdict={"right": True, "saw": "a cube"}), "<u>", {}
    )
    assert "reward 0.50<" in html and "reward 1.00 (+0.50)" in html
    assert html.index("✓") < html.index("a cube") < html.index("✗")
    for bad in ('<b>"', "<u>", "<i>"):
        assert bad not in html


def test_a_dose_is_the_mask_of_its_direction():
    cards = [Card(name=f"red-{way}", title="red", summary="", kind=way) for way in ("erase", "amplify")]
    assert Wish(concept="red", dose=-0.25).method(cards) == ("held_mask", {"mask": "red-erase", "dose": 0.25})
    assert Wish(concept="red", dose=1.0).method(cards) == ("held_mask", {"mask": "red-amplify", "dose": 1.0})
    assert Wish(what="q").method(cards) == ("knock_out", {"what": "q"})
    assert directions(cards) == {"red": ["erase", "amplify"]}
    with pytest.raises(ValueError, match="no mask to amplify “blue”"):
        Wish(concept="blue", dose=0.5).method(cards)


def test_a_concept_that_is_only_chosen_leaves_what_is_out():
    made = SimpleNamespace(made=lambda visitor, fields, owner, session: iter([session.wish]))
    out = Session((Wish(what=V),))
    assert list(intervene.Intervene.dosed(made, None, "blue", 0, "owner", out)) == [intervene.NOTHING]
    (wish,) = intervene.Intervene.dosed(made, None, "blue", -0.5, "owner", out)
    assert (wish.concept, wish.dose) == ("blue", -0.5)
    (wish,) = intervene.Intervene.dosed(made, None, "blue", 0, "owner", Session((wish,)))
    assert wish == Wish()  # the slider was moved back


def test_who_has_no_concepts_is_told_which_model_has():
    cards = [Card(name="web", title="Web", summary=""), Card(name="clean", title="Clean", summary="")]
    red = Card(name="erase_red", title="red", summary="", kind="erase")
    known = {"web": [], "clean": [red]}
    page = SimpleNamespace(models=cards, studio=SimpleNamespace(concepts=known.get))
    *_, said = intervene.offered(page, "web")
    assert "choose “Clean” as the base model. It has: red." in said
    assert intervene.offered(page, "clean")[2] == ""
    known["clean"] = []
    assert "docs/concepts.md says how to make one" in intervene.offered(page, "web")[2]
