"""Saved evaluations side by side: the table's numbers are the rows', pairs meet at prompt and seed."""

import pytest

from maskunet.experiments import evaluate
from maskunet.experiments.tabletop import measure_results


def rows(rewards, correct):
    return [
        {"task": "single", "prompt": f"p{i}", "seed": i, "correct": c, "held_out": False, "rewards": {"total": r},
         "keep_ratio": 0.9, "seconds": 2.0, "unet_calls": 3}
        for i, (r, c) in enumerate(zip(rewards, correct, strict=True))
    ]  # fmt: skip


def test_the_page_shows_every_evaluation_and_the_known_pairs(tmp_path):
    evaluate.save(tmp_path / "official", rows([1.0, 2.0, 3.0], [True, True, False]), {})
    evaluate.save(tmp_path / "plain_first_order", rows([0.0, 1.0, 2.0], [False, True, False]), {})
    text = measure_results.write(tmp_path, "tabletop")
    assert "| official | 3 | 0.667 |" in text and "| plain_first_order | 3 | 0.333 |" in text
    assert "**official**. Against plain_first_order, 3 pairs: total reward +1.000" in text
    assert "prompts right more often 1, less often 0" in text and "random_mask" not in text
    assert (tmp_path / "README.md").read_text() == text


def test_pictures_of_one_prompt_count_as_one(tmp_path):
    for name, correct in (
        ("improved", [True, True, False, False]),
        ("plain_second_order", [False, False, False, True]),
    ):
        mine = [{**row, "prompt": f"p{i // 2}"} for i, row in enumerate(rows([1.0] * 4, correct))]
        evaluate.save(tmp_path / name, mine, {})
    text = measure_results.write(tmp_path, "tabletop")
    assert "4 pairs of 2 prompts" in text and "prompts right more often 1, less often 1" in text
    assert "| improved | 4 | 0.500 | 0.000 to 1.000 |" in text


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no evaluations"):
        measure_results.write(tmp_path, "tabletop")


def test_where_scales_differ_each_line_says_its_own(tmp_path):
    for name, scale in (("improved", 7.5), ("plain_second_order", 10.0)):
        evaluate.save(tmp_path / name, rows([1.0], [True]), {"request": {"guidance": scale}})
    text = measure_results.write(tmp_path, "tabletop_web")
    assert "| improved, at 7.5 |" in text and "| plain_second_order, at 10 |" in text and "on tabletop_web?" in text
    assert "**improved**. Against plain_second_order, one pair" in text
