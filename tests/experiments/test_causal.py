"""The causal map: pictures without a place are those of the method, plain steps are made once, and a study goes on."""

import json

import numpy as np
import pytest
import torch

from maskunet.commands.registry import main
from maskunet.experiments import causal
from maskunet.library.library import Loaded
from maskunet.methods import SPECS
from maskunet.records import Request, causal_map
from maskunet.records.selection import parse
from tests.experiments.test_study import Checker, Redness
from tests.support.tiny import tiny_unet

STEPS = 3
ASKED = causal.prompts(2, 1, "test")
QUICK = Request(prompt="-", model="tiny", steps=STEPS, previews=False)


@pytest.fixture(scope="module")
def rows(tiny_sd15):
    return make(tiny_sd15)


def make(model, done=()):
    loaded = Loaded(model=model, rewards=Redness(), checker=Checker())
    return list(causal.causal(loaded, QUICK, asked=ASKED, done=done))


def test_every_site_over_all_steps_and_each_third_with_twins_measured_once(tiny_sd15):
    found = [str(place) for place in causal.places(tiny_sd15.unet, 15)]
    assert len(found) == len(set(found)) == 2 * 2 * 2 * 4  # layers, attentions, q or v, ranges
    assert found[:4] == ["block1.layer0.self.q", *(f"block1.layer0.self.q@{some}" for some in ("1-5", "6-10", "11-15"))]


def test_by_heads_every_head_of_what_is_measured_is_out_over_all_steps(tiny_sd15):
    heads = [str(place) for place in causal.places(tiny_sd15.unet, 15, "heads")]
    sites = [str(place) for place in causal.places(tiny_sd15.unet, 15) if not place.steps]
    count = tiny_sd15.unet.up_blocks[1].attentions[0].transformer_blocks[0].attn1.heads
    assert count > 1 and heads == [f"{site}.head{head}" for site in sites for head in range(count)]
    loaded = Loaded(model=tiny_sd15, rewards=Redness(), checker=Checker())
    rows = list(causal.causal(loaded, QUICK, asked=ASKED[:1], by="heads"))
    assert [row["what"] for row in rows] == ["", *heads] and any(row["distance"] for row in rows)
    text = causal.table(causal.summarize(rows))
    assert "one head of a matrix of `block1`" in text and f"`{heads[0]}`" in text


@pytest.mark.parametrize(("one", "twin"), [("self.q.head1", "self.k.head1"), ("cross.v.head0", "cross.out.head0")])
def test_twins_are_one_picture_by_heads_too(tiny_sd15, one, twin):
    test_twins_are_one_picture(tiny_sd15, one, twin)


def test_with_biases_no_two_matrices_have_one_effect(tiny_sd15):
    unet = tiny_unet()
    unet.up_blocks[1].attentions[0].transformer_blocks[0].attn1.to_q.bias = torch.nn.Parameter(torch.zeros(1))
    assert len(causal.places(unet, 15)) == 2 * len(causal.places(tiny_sd15.unet, 15))


@pytest.mark.parametrize(("one", "twin"), [("self.q", "self.k"), ("cross.v@2", "cross.out@2")])
def test_twins_are_one_picture(tiny_sd15, one, twin):
    asked = Request(prompt="a red cube", seed=3, steps=STEPS)
    first, second = (
        list(SPECS["knock_out"].run(tiny_sd15, Redness(), asked, SPECS["knock_out"].settings("", {"what": what})))[-1]
        for what in (one, twin)
    )
    assert np.abs(first.image.astype(int) - second.image).max() <= 1


def test_a_picture_is_that_of_the_method_though_its_first_steps_were_not_made_again(tiny_sd15, rows):
    (row,) = [row for row in rows if row["what"] == "block1.layer0.cross.v@3" and row["number"] == 1]
    asked = Request(prompt=row["prompt"], seed=row["seed"], steps=STEPS)
    settings = SPECS["knock_out"].settings("", {"what": row["what"]})
    *_, alone = SPECS["knock_out"].run(tiny_sd15, Redness(), asked, settings)
    *_, plain = SPECS["plain"].run(tiny_sd15, Redness(), asked, SPECS["plain"].settings())
    assert row["rewards"]["total"] == pytest.approx(alone.rewards["total"], abs=1e-3)
    assert row["distance"] == pytest.approx(np.abs(alone.image.astype(int) - plain.image).mean(), abs=0.05)


def test_steps_before_the_place_is_out_are_made_once(tiny_sd15, monkeypatch):
    calls = []
    hook = tiny_sd15.unet.conv_out.register_forward_hook(lambda *_: calls.append(1))
    monkeypatch.setattr(causal, "places", lambda unet, steps, by: parse("cross.v@3; self.v@2"))
    make(tiny_sd15)
    hook.remove()
    assert len(calls) == 3 + 1 + 2


def test_what_is_there_is_not_made_again(tiny_sd15, rows):
    assert make(tiny_sd15, rows) == []
    left = make(tiny_sd15, [row for row in rows if row["what"] != "block1.layer0.self.q"])
    assert [(row["what"], row["number"]) for row in left] == [("block1.layer0.self.q", 0), ("block1.layer0.self.q", 1)]


def test_effects_are_paired_with_the_plain_pictures():
    def row(what, number, correct, total, distance):
        known = {"what": what, "number": number, "prompt": f"p{number}", "correct": correct, "distance": distance}
        return {**known, "rewards": {"total": total}}

    found = causal.summarize([
        row("", 0, True, 1.0, 0.0), row("", 1, False, 2.0, 0.0), row("", 2, True, 3.0, 0.0),
        row("q", 0, False, 0.0, 4.0), row("q", 1, True, 2.5, 2.0), row("q", 2, False, 2.0, 6.0),
    ])  # fmt: skip
    (cell,) = found["cells"]
    assert found["plain"] == {"n": 3, "correct": 2, "rewards": {"total": 2.0}}
    assert (cell["n"], cell["fixed"], cell["broken"], cell["distance"]) == (3, 1, 2, 4.0)
    assert cell["total"] == pytest.approx(-0.5) and cell["correct"] == pytest.approx(-1 / 3, abs=1e-4)
    assert cell["total_low"] <= cell["total"] <= cell["total_high"]
    (block,) = found["blocks"]
    assert (block["what"], block["places"], block["n"], block["total"]) == ("all", 1, 3, cell["total"])
    with pytest.raises(ValueError, match="no pictures yet"):
        causal.summarize([row("", 0, True, 1.0, 0.0)])


def test_the_command_writes_a_map_that_the_page_reads_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        causal, "places", lambda unet, steps, by: parse("block1.layer0.cross.v@2; block2.layer1.self.q")
    )
    words = ["causal", "--model", "tabletop", "--steps", "2", "--n", "1", "--device", "cpu", "--out", str(tmp_path)]
    assert not main(words)
    before = (tmp_path / "rows.jsonl").read_text()
    assert not main(words)
    assert (tmp_path / "rows.jsonl").read_text() == before and len(before.splitlines()) == 1 + 3
    found = json.loads((tmp_path / "causal.json").read_text())
    assert found["about"]["n"] == 1 and [cell["what"] for cell in found["cells"]][0] == "block1.layer0.cross.v@2"
    (tmp_path / "causal.json").rename(tmp_path / "tabletop.json")
    known = causal_map.read("tabletop", tmp_path)
    (place,) = parse("block1.layer0.cross.out@2")  # v's twin
    assert known.at(place)["what"] == "block1.layer0.cross.v@2" and known.most > 0
    assert known.at(parse("block1")[0]) is None and causal_map.read("sd15", tmp_path) is None
    assert "pixels apart" in capsys.readouterr().out


def test_the_maps_that_come_with_the_project_are_of_every_site_of_their_models():
    found = sorted(path.stem for path in causal_map.FOLDER.glob("*.json"))
    assert "tabletop" in found
    for model in found:
        known = causal_map.read(model)
        assert len(known.cells) == 64 and all(cell["n"] >= 8 for cell in known.cells.values())
        assert (causal_map.FOLDER / f"{model}.json").stat().st_size < 50_000
