"""Where and when masks remove weights, over many pictures."""

from types import SimpleNamespace

import numpy as np
import pytest

from maskunet.experiments import removal
from maskunet.experiments.evaluate import judge, save
from maskunet.records import StepEvent
from maskunet.tabletop.tasks import cases

SITE = "up_blocks.{}.attentions.{}.transformer_blocks.0.attn2.to_{}"
V0, V1, K0 = SITE.format(1, 0, "v"), SITE.format(1, 1, "v"), SITE.format(2, 0, "k")


def event(step, kept, together=None, **also):
    return StepEvent(
        step=step, steps=2, timestep=1, keep_ratio=kept, kept=together, best=True, rewards={"total": 1.0}, **also
    )  # fmt: skip


def row(second: float) -> dict:
    chosen = {1: event(1, {V0: second, V1: 0.9, K0: 1.0}, 0.95), 0: event(0, {V0: 0.5, V1: 0.7, K0: 0.9}, 0.8)}
    told = {
        "task": "single",
        "prompt": "a cube",
        "correct": True,
        "rewards": {"total": 1.0},
        "keep_ratio": 0.8,
        "seconds": 1.0,
    }
    return told | removal.columns(chosen)


def test_a_row_says_the_share_of_all_weights_at_each_step_and_of_each_site():
    assert row(0.8)[removal.BY_STEP] == [0.2, 0.05]
    assert row(0.8)[removal.BY_SITE] == {
        "block1.layer0.cross.v": 0.35, "block1.layer1.cross.v": 0.2, "block2.layer0.cross.k": 0.05
    }  # fmt: skip


def test_a_step_without_a_mask_removes_nothing_and_a_picture_without_masks_says_nothing():
    told = removal.columns({0: event(0, {}), 1: event(1, {V0: 0.4}, 0.4), 2: event(2, {})})
    assert told[removal.BY_STEP] == [0, 0.6, 0] and told[removal.BY_SITE] == {"block1.layer0.cross.v": 0.2}
    assert removal.columns({0: event(0, {}), 1: event(1, {})}) == removal.columns({}) == {}


def test_the_lines_are_means_over_pictures_with_intervals_layers_of_a_kind_taken_together():
    lines = {line["where"]: line for line in removal.summarize([row(0.8), row(0.2), {"keep_ratio": 1.0}])}
    assert list(lines) == ["step 1", "step 2", "block1 cross v", "block2 cross k"]
    assert lines["step 1"]["removed"] == pytest.approx(0.2)
    together = lines["block1 cross v"]
    assert together["removed"] == pytest.approx(((0.35 + 0.2) / 2 + (0.65 + 0.2) / 2) / 2)
    assert together["low"] < together["removed"] < together["high"]
    assert {line["pictures"] for line in lines.values()} == {2}


def test_pictures_with_other_steps_or_sites_are_not_averaged():
    assert removal.summarize([row(0.8), {**row(0.8), removal.BY_STEP: [0.3]}]) == []
    assert removal.summarize([]) == []


def test_an_evaluation_is_saved_with_it_where_there_are_masks(tmp_path):
    save(tmp_path, [row(0.8)], {})
    assert (tmp_path / "removed.csv").read_text().splitlines()[1].startswith("step 1,1,0.2,")
    assert "| block2 cross k | 5.00% | 5.00% to 5.00% |" in (tmp_path / "evaluation.md").read_text()
    plain = {name: value for name, value in row(1.0).items() if name not in (removal.BY_STEP, removal.BY_SITE)}
    (tmp_path / "plain").mkdir()
    save(tmp_path / "plain", [plain], {})
    assert not (tmp_path / "plain" / "removed.csv").exists()


def test_a_judged_picture_removed_its_share_of_all_weights_and_the_final_event_hides_no_step():
    events = [event(0, {V0: 0.5}, 0.8), event(1, {V0: 0.9}, 0.9)]
    final = event(1, {}, final=True, image=np.zeros((8, 8, 3), np.uint8))
    nothing = SimpleNamespace(see=lambda picture: [[]])
    told = judge(cases("single", 1)[0], 1, iter([*events, final]), nothing)
    assert told[removal.BY_STEP] == [0.2, 0.1]
    assert told["keep_ratio"] == pytest.approx(0.85)
