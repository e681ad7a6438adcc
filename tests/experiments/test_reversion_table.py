"""The twin of ReVersion: what is shown and asked, what counts as the relation, and how it is summed up."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from maskunet.commands.registry import main
from maskunet.experiments import judges
from maskunet.experiments.tables import drawn, reversion, reversion_report
from maskunet.tabletop.captions import plan
from maskunet.tabletop.scenes import HELD_OUT, Thing
from maskunet.training import loop


@pytest.mark.parametrize("relation", reversion.RELATIONS)
def test_exemplars_show_the_relation_and_the_pairs_that_are_asked_for_are_others(relation):
    shown = reversion.exemplars(relation)
    assert len(shown) == reversion.EXEMPLARS == 10
    assert len({caption for _, caption in shown}) == 5 and all("{}" in caption for _, caption in shown)
    for scene, caption in shown:
        assert reversion.RELATIONS[relation](*scene)
        assert caption == f"a {scene[0].shape} {{}} a {scene[1].shape}"
        assert not {(thing.color, thing.shape) for thing in scene} & HELD_OUT
    assert [scene for scene, _ in shown] == [scene for scene, _ in reversion.exemplars(relation)]
    asked = {frozenset(shapes) for _, shapes in reversion.prompts(6)}
    assert len(reversion.ASKED) == 6 and not asked & {frozenset(shapes) for shapes in reversion.LEARNED}
    if relation == "same color":
        assert len({scene[0].color for scene, _ in shown}) >= 6  # a word for one color would not do
    if relation == "diagonal":  # no caption has a word for it
        drawn_plans = [plan(scene, np.random.default_rng(number)) for scene, _ in shown for number in range(20)]
        assert not any(how["relation"] for how in drawn_plans)


def test_prompts_go_through_all_pairs_and_stay_the_same_for_more():
    asked = reversion.prompts(12)
    assert asked == reversion.prompts(30)[:12]
    assert {shapes for _, shapes in asked} == {*reversion.ASKED}
    assert asked[0][0] == "a cube {} a cylinder" and asked[6][0] == "a photo of a cube {} a cylinder"


CUBE, CONE = Thing("cube", "red", x=0, y=0), Thing("cone", "red", x=1.4, y=0)


@pytest.mark.parametrize(
    ("relation", "seen", "related", "entities"),
    [
        ("same color", [CUBE, CONE], True, True),
        ("same color", [CUBE, Thing("cone", "blue", x=1.4)], False, True),
        ("same color", [CUBE, Thing("cube", "red", x=1.4)], False, False),
        ("same color", [CUBE, Thing("cone", "blue"), Thing("cone", "red")], True, True),
        ("diagonal", [CUBE, CONE], False, True),
        ("diagonal", [CUBE, Thing("cone", "red", x=-1.0, y=0.9)], True, True),
        ("diagonal", [CUBE, Thing("cone", "red", x=-1.0, y=0.7)], False, True),
        ("diagonal", [CUBE, Thing("cone", "red", x=0.5, y=0.5)], False, True),
        ("touching", [CUBE, CONE], True, True),  # 1.4 of 1.48
        ("touching", [CUBE, Thing("cone", "red", x=1.8)], False, True),
        ("touching", [CUBE, Thing("cone", "red", size="small", x=1.6)], False, True),
        ("touching", [], False, False),
    ],
)
def test_what_is_seen_is_told_apart(relation, seen, related, entities):
    found = reversion.verdict(seen, relation, ("cube", "cone"))
    assert (found["related"], found["entities"]) == (related, entities)
    assert found["colors"] == [thing.color for thing in seen]


def test_the_entropy_is_zero_for_one_color_and_three_bits_for_eight():
    every = [[color] for color in ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")]
    assert reversion.entropy(every, range(8))["value"] == pytest.approx(3)
    assert reversion.entropy([["red", "red"]] * 5, range(5)) == {"value": 0, "low": 0, "high": 0, "n": 5}
    half = reversion.entropy([["red", "blue"]] * 5, range(5))
    assert (half["value"], half["low"], half["high"]) == (1, 1, 1)
    assert reversion.entropy([["red"], ["blue"]], [7, 7])["low"] == 1  # both are drawn, or none


def rows(count=10, token=8, relations=("same color",), trainings=2):
    found = []
    for relation in relations:
        for name, row in reversion.ROWS.items():
            for training in [None] if row.steering is None else range(trainings):
                for number in range(count):
                    few = {"and": 2, "token_random": 4}.get(name, token)
                    found.append(
                        {
                            "row": name, "relation": relation, "training": training, "number": number, "prompt": f"{number}",
                            "related": number < few, "entities": number < 9, "colors": ["red", "blue"],
                            "removed": 0.1 * ("_" in name),
                        }
                    )  # fmt: skip
    return found


def test_rows_are_summed_up_and_compared_pair_by_pair():
    lines = {line["row"]: line for line in reversion.summarize(rows())}
    assert (lines["and"]["related"]["value"], lines["and"]["related"]["n"]) == (0.2, 10)  # its pictures count once
    assert (lines["token"]["related"]["value"], lines["token"]["related"]["n"]) == (0.8, 20)
    assert lines["and"]["against_and"] is lines["token"]["against_token"] is None
    gain = lines["token"]["against_and"]
    assert (gain["value"], gain["fixed"], gain["broken"]) == (
        pytest.approx(0.6),
        6,
        0,
    )  # prompts, of two trainings each
    lost = lines["token_random"]["against_token"]
    assert (lost["value"], lost["fixed"], lost["broken"]) == (pytest.approx(-0.4), 0, 4)
    assert lines["unsteered"]["against_token"]["value"] == lines["token_masks"]["against_token"]["value"] == 0
    assert lines["token"]["entities_against_and"]["value"] == 0


def test_pictures_of_one_prompt_are_counted_together():
    twice = [{**row, "prompt": f"{row['number'] // 2}"} for row in rows(trainings=1)]
    wide, narrow = ({line["row"]: line for line in reversion.summarize(each)} for each in (twice, rows(trainings=1)))
    assert (wide["token"]["against_and"]["fixed"], narrow["token"]["against_and"]["fixed"]) == (3, 6)
    assert wide["token"]["related"]["low"] < narrow["token"]["related"]["low"]


def test_only_pictures_that_all_rows_have_count():
    half = [row for row in rows(relations=reversion.RELATIONS) if row["relation"] != "touching"]
    part = [
        row for row in half if not (row["relation"] == "diagonal" and row["row"] == "token_masks" and row["number"] > 5)
    ]
    lines = reversion.summarize(part)
    assert {line["relation"]: line["related"]["n"] for line in lines} == {"same color": 20, "diagonal": 12}
    with pytest.raises(ValueError, match="No relation has a picture of every row yet"):
        reversion.summarize([row for row in half if row["row"] != "and"])


ABOUT = {
    "model": "tabletop", "command": "python -m maskunet table reversion", "finished": "all of them", "trainings": 2, "steps": 200,
    "guidance": 2.5,
}  # fmt: skip


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (16, "More often than by chance the token shows: same color. Bars, for same color: relation +0.70 above “and”, met (+0.15)"),
        (2, "No token can be told to show its relation more often than “and” does (40 pictures each). Bars, for same color: relation +0.00 above “and”, missed (+0.15)"),
    ],
)  # fmt: skip
def test_the_report_begins_with_the_verdict(tmp_path, token, said):
    reversion_report.save(tmp_path, reversion.summarize(rows(20, token)), ABOUT)
    text = (tmp_path / "reversion.md").read_text()
    assert said in text.split("\n\n")[1] and "both things +0.00, met (-0.10)" in text
    assert ("that token, random masks (same color)" in text.split("\n\n")[1]) == (token == 16)  # 12 prompts, or 2
    assert (tmp_path / "reversion.json").exists() and text.count("\n| same color |") == len(reversion.ROWS)


def test_a_training_reads_the_folder_as_a_users(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(loop, "train", lambda *args, **more: given.append((args, more)) or iter(()))
    chosen = reversion.settings({"steps": 3, "steering": 1.0}, 0.01, 2)
    assert (chosen.steering, chosen.seed, chosen.steps, chosen.begin, chosen.token) == (0.01, 2, 3, "and", "<relates>")
    list(reversion.train(SimpleNamespace(pixels=128), "same color", chosen, tmp_path))
    (_, spec, _, pairs, out), more = given[0]
    assert (spec.name, out, more["resume"]) == ("reversion", tmp_path / "same-color" / "steering-0.01-2", False)
    assert [pairs(n, 0).caption for n in range(2)] == ["a cube {} a sphere", "a sphere {} a cube"]
    assert pairs(0, 0).image.shape == (128, 128, 3) and len(pairs) == 10


def test_what_is_missing_is_made_and_random_masks_remove_what_trained_ones_removed(monkeypatch):
    asked = []

    def together(model, method, settings, requests):
        asked.append((method, getattr(settings, "removed", None), [request.prompt for request in requests]))
        for number, request in enumerate(requests):
            assert request.seed == 300_000 + number or len(requests) < 4
            yield torch.zeros(1, 3, 8, 8), 0.02 * (number + 1) if method == "maskunet_trained" else 0.0

    model = SimpleNamespace(trained={}, name="tabletop")
    loaded = SimpleNamespace(model=model, checker=SimpleNamespace(see=lambda image: [[CUBE, CONE]]))
    monkeypatch.setattr(drawn, "together", together)
    monkeypatch.setattr(drawn, "reading", lambda model, part, token: model)
    monkeypatch.setattr(reversion, "replace", lambda given, **changes: given)

    def make(done):
        return list(reversion.make(loaded, 4, range(1), reversion.Path("out"), done=done, guidance=2.5))

    made = make(())
    assert len(made) == len({reversion.key(row) for row in made}) == 3 * 4 * len(reversion.ROWS)
    assert [removed for method, removed, _ in asked if method == "random_mask"] == [pytest.approx(0.05)] * 3
    assert {prompts[0] for method, _, prompts in asked} == {"a cube and a cylinder", "a cube <relates> a cylinder"}
    assert [prompts[0] for *_, prompts in asked].count("a cube and a cylinder") == 1  # the same for every relation
    assert not make(made) and [row["number"] for row in make(made[:-1])] == [3]


def test_the_command_trains_what_is_missing_writes_the_table_and_goes_on(tmp_path, monkeypatch, capsys):
    trained, before, every = [], [], rows(4, token=3, trainings=1)

    def train(model, relation, chosen, out):
        trained.append((relation, chosen.steering, chosen.seed, chosen.steps))
        yield from ()

    def make(loaded, n, trainings, out, *, done, guidance, should_stop):
        before.append(len(done))
        assert (n, trainings, guidance) == (4, range(1), 4.0)
        yield from every[len(done) :]

    loaded = SimpleNamespace(model=SimpleNamespace(guidance=4.0))
    monkeypatch.setattr(judges, "load", lambda *given, **added: (loaded, {"model": "tabletop"}))
    monkeypatch.setattr("maskunet.commands.table.reversion.check_ways", lambda *given: None)
    monkeypatch.setattr(reversion, "train", train)
    monkeypatch.setattr(reversion, "make", make)
    words = ["table", "reversion", "--steps=7", "--n=4", "--seeds=1", "--out", str(tmp_path)]
    assert main(words) == 0 and main(words) == 0
    assert trained == 2 * [(relation, weight, 0, 7) for relation in reversion.RELATIONS for weight in (0.0, 0.01)]
    assert before == [0, len(every)]
    text = (tmp_path / "reversion.md").read_text()
    assert "(all of them)" in text and "one training of 7 steps" in text and text in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["table", "reversion", "--model", "sd15", "--out", str(tmp_path)])
    assert "python -m maskunet train reversion; docs/personalize.md" in capsys.readouterr().err
