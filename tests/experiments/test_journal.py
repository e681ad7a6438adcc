"""Rows that are kept as they come."""

import subprocess
import sys

import pytest

from maskunet.experiments import journal


def test_rows_of_another_study_are_refused(tmp_path):
    journal.resume(tmp_path / "rows.jsonl", {"model": "a", "steps": 15, "sizes": (1, 2)}, "study")
    assert journal.resume(tmp_path / "rows.jsonl", {"model": "a", "steps": 15, "sizes": (1, 2)}, "study") == []
    with pytest.raises(ValueError, match="with another model, steps; give another --out"):
        journal.resume(tmp_path / "rows.jsonl", {"model": "b", "steps": 10, "sizes": (1, 2)}, "study")
    for text in ("", "no json\n", "[]\n", '{"task": "two"}\n'):
        (tmp_path / "other").write_text(text)
        with pytest.raises(ValueError, match="“other” holds no study"):
            journal.resume(tmp_path / "other", {"model": "a"}, "study")


def test_every_row_is_on_disk_before_the_next_one_is_made(tmp_path):
    path, about = tmp_path / "rows.jsonl", {"model": "a"}
    journal.resume(path, about, "study")
    passing = journal.kept(iter([{"n": 1}, {"n": 2}]), path)
    next(passing)
    assert journal.resume(path, about, "study") == [{"n": 1}]
    passing.close()
    assert journal.resume(path, about, "study") == [{"n": 1}]


@pytest.mark.skipif(journal.fcntl is None, reason="files cannot be locked here")
def test_two_programs_do_not_add_to_one_file(tmp_path):
    path, about = tmp_path / "rows.jsonl", {"model": "a"}
    program = f"from pathlib import Path; from maskunet.experiments import journal; journal.resume(Path({str(path)!r}), {about}, 'study')"
    with subprocess.Popen([sys.executable, "-c", f"{program}; print('held', flush=True); input()"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:  # fmt: skip
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(ValueError, match="Another program is adding to"):
            journal.resume(path, about, "study")
        other.communicate(b"\n")
    assert journal.resume(path, about, "study") == []


def test_a_method_may_join_a_folder_and_none_may_change(tmp_path):
    plain, light = {"settings": {"second_order": True}, "weights": {"unet": "1"}}, {"settings": {"generator": "mine"}}
    journal.check_methods(tmp_path, {"plain": plain, "light": {**light, "weights": {"trained/light": "a"}}})
    journal.check_methods(tmp_path, {"plain": plain, "other": {"settings": (1, 2), "weights": {}}})
    journal.check_methods(tmp_path, {"other": {"settings": [1, 2], "weights": {}}})
    with pytest.raises(ValueError, match="The pictures of light in this folder were made with other weights; give"):
        journal.check_methods(tmp_path, {"light": {**light, "weights": {"trained/light": "b"}}})
