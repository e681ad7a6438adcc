"""The twin of textual inversion: what is asked, what is seen in a picture, and how it is summed up."""

from types import SimpleNamespace

import numpy as np
import pytest

from maskunet.experiments.tables import inversion, inversion_report
from maskunet.tabletop.reading import read
from maskunet.tabletop.scenes import HELD_OUT, Thing

CONE = inversion.SUBJECTS["test"]
CUBE = {"shape": "cube", "color": "blue"}


@pytest.mark.parametrize("split", ["train", "test"])
def test_prompts_are_read_and_other_things_differ_from_the_subject(split):
    subject = inversion.SUBJECTS[split]
    asked = inversion.prompts(subject, 40)
    assert [one.prompt for one in asked] == [one.prompt for one in inversion.prompts(subject, 48)[:40]]
    assert sum(one.other is None for one in asked) == 10
    for one in asked:
        case = read(one.prompt.format(subject.words))
        assert case is not None and case.things[0]["color"] == subject.color
        if one.other is not None:
            assert case.things[1] == one.other
            assert one.other["color"] != subject.color and one.other["shape"] != subject.shape
            assert (one.other["color"], one.other["shape"]) not in HELD_OUT


def test_the_pictures_are_of_the_subject_and_fresh_ones_are_others():
    shown, fresh = inversion.shown(CONE, 5, 1), inversion.shown(CONE, 16, 2)
    assert shown.shape == (5, 128, 128, 3) and shown.dtype == np.uint8 and shown.max() > 200
    assert np.array_equal(shown, inversion.shown(CONE, 5, 1))
    assert not any(np.array_equal(a, b) for a in shown for b in fresh)


@pytest.mark.parametrize(
    ("seen", "subject", "textured", "other", "swallowed"),
    [
        ([Thing("cone", "orange", "checkered"), Thing("cube", "blue")], True, True, True, False),
        ([Thing("cone", "orange"), Thing("cube", "blue")], True, False, True, False),
        ([Thing("cube", "blue"), Thing("sphere", "blue")], False, False, True, True),
        ([Thing("cube", "blue"), Thing("cone", "red")], False, False, True, False),
        ([Thing("cone", "orange", "checkered"), Thing("cube", "blue"), Thing("cube", "blue")], True, True, True, False),
        ([], False, False, False, False),
    ],
)
def test_what_is_seen_is_told_apart(seen, subject, textured, other, swallowed):
    assert inversion.verdict(seen, CONE, CUBE) == {
        "subject": subject, "textured": textured, "other": other, "swallowed": swallowed
    }  # fmt: skip


def test_of_the_subject_alone_no_other_thing_is_judged():
    assert inversion.verdict([Thing("cone", "orange")], CONE, None) == {
        "subject": True, "textured": False, "other": None, "swallowed": None
    }  # fmt: skip


def test_the_share_of_the_gap_is_of_all_renders_together():
    words, lower = [1.0, 2.0, 3.0], [2.0, 4.0, 4.0]
    assert inversion.closed(words, lower, words)["value"] == 1
    assert inversion.closed(words, lower, lower)["value"] == 0
    half = inversion.closed(words, lower, [1.5, 3.0, 3.5])
    assert (half["value"], half["low"], half["high"], half["n"]) == (0.5, 0.5, 0.5, 3)
    assert inversion.closed(words, lower, [1.0, 4.0, 4.0])["value"] == pytest.approx(1 / 4)


def rows():
    found = []
    for name, row in inversion.ROWS.items():
        for number in range(8):
            there = {"words": True, "class": number == 0}.get(name, number < 6)
            if name == "token_random":
                there = number < 4
            alone = number % 4 == 3
            seen = {
                "subject": there,
                "textured": False,
                "other": None if alone else True,
                "swallowed": None if alone else False,
            }
            training = 0 if row.asked == "token" else None
            found.append({
                "row": name, "training": training, "number": number, "prompt": f"prompt {number}",
                "removed": 0.1 * ("_" in name), **seen,
            })  # fmt: skip
    return found


def test_rows_are_summed_up_and_masks_are_compared_pair_by_pair():
    lines = {line["row"]: line for line in inversion.summarize(rows())}
    assert (lines["token"]["subject"]["value"], lines["token"]["subject"]["n"]) == (0.75, 8)
    assert (lines["token"]["other"]["value"], lines["token"]["other"]["n"]) == (1.0, 6)
    assert lines["token"]["against_token"] is lines["words"]["against_token"] is None
    against = lines["token_random"]["against_token"]
    assert (against["value"], against["fixed"], against["broken"]) == (-0.25, 0, 2)
    assert lines["token_masks"]["against_token"]["value"] == 0
    with pytest.raises(ValueError, match="Not every row has a picture"):
        inversion.summarize(rows()[:-8])


def test_pictures_of_one_prompt_are_counted_together():
    apart = rows()
    twice = [{**row, "prompt": f"prompt {row['number'] // 2}"} for row in apart]
    wide, narrow = ({line["row"]: line for line in inversion.summarize(each)} for each in (twice, apart))
    assert (
        wide["token_random"]["against_token"]["broken"] == 1 and narrow["token_random"]["against_token"]["broken"] == 2
    )
    assert wide["token"]["subject"]["low"] == 0.25 < narrow["token"]["subject"]["low"]


@pytest.mark.parametrize(("gap", "said"), [(0.95, "0.95, met (0.90)"), (0.5, "0.50, missed (0.90)")])
def test_the_report_says_which_bars_are_met(tmp_path, gap, said):
    about = {
        "model": "tabletop", "command": "python -m maskunet table inversion", "subject": CONE.words, "begin": "cone",
        "trainings": 1, "steps": 200, "guidance": 2.5, "closed": [{"value": gap, "low": 0.4, "high": 1.1, "n": 16}],
    }  # fmt: skip
    inversion_report.save(tmp_path, inversion.summarize(rows()), about)
    text = (tmp_path / "inversion.md").read_text()
    assert said in text and "subject 0.75, met (0.65)" in text and "| token, random masks | 0.50 (" in text
    assert (tmp_path / "inversion.json").exists()


def test_random_masks_remove_what_the_trained_ones_removed_of_the_same_pictures(monkeypatch):
    asked = []

    def together(loaded, model, subject, wanted, row, guidance, removed):
        asked.append((row.method, removed))
        for number, _ in wanted:
            yield number, {"removed": 0.02 * (number + 1) if row.method == "maskunet_trained" else removed}

    model = SimpleNamespace(trained={})
    monkeypatch.setattr(inversion, "_together", together)
    monkeypatch.setattr(inversion, "with_token", lambda *given: model)
    monkeypatch.setattr(inversion, "replace", lambda given, **changes: given)
    loaded = SimpleNamespace(model=model)
    made = list(inversion.make(loaded, CONE, 4, range(1), None, done=(), guidance=2.5))
    assert len(made) == 4 * len(inversion.ROWS)
    assert ("random_mask", pytest.approx(0.05)) in asked
    assert not list(inversion.make(loaded, CONE, 4, range(1), None, done=made, guidance=2.5))
    later = list(inversion.make(loaded, CONE, 4, range(1), None, done=made[:-1], guidance=2.5))
    assert [row["number"] for row in later] == [3]
