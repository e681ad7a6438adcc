"""Grids and videos that are kept: whoever asks for many displaces none of the others', and no work is lost while it goes on."""

import os
from dataclasses import replace

import pytest

from maskunet.records import Request
from maskunet.records.grid import GridRequest
from maskunet.records.video import Motion
from maskunet.studio import works
from maskunet.studio.queue import Job
from maskunet.studio.studio import Studio
from maskunet.studio.works import Works

PLAIN = Request(prompt="a red cube", model="tiny", method="plain", steps=8)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(works, "KEPT", 4)
    return Works(tmp_path, "This is not here any more.")


def add(kept, *names, address="", owner="", phase="done"):
    for name in names:
        (kept.folder / name).mkdir()
        kept.add(Job(id=name, request=PLAIN, address=address, owner=owner, phase=phase), name)


def there(kept):
    """Of which work there is, with its files."""
    names = {path.name for path in kept.folder.iterdir()}
    assert all((kept.job(name) is not None) == (name in names) for name in "abcdefghijkl")
    return "".join(sorted(names))


def test_who_asks_for_many_pushes_out_only_their_own(kept):
    add(kept, "a", address="1")
    add(kept, *"efghij", address="2")
    assert there(kept) == "ahij"
    add(kept, "b", "c", address="1")
    assert there(kept) == "bcij"
    with pytest.raises(ValueError, match="This is not here any more"):
        kept.of("a")
    assert kept.of("b") == "b"


def test_of_one_address_the_browser_with_most_gives_way(kept):
    add(kept, "a", address="proxy", owner="x")
    add(kept, *"efghij", address="proxy", owner="y")
    assert there(kept) == "ahij"


def test_work_that_is_not_over_stays_however_much_there_is(kept):
    add(kept, "a", phase="grid")
    add(kept, "b", "c", phase="queued")
    add(kept, *"efg", address="2")
    assert there(kept) == "abcg"
    add(kept, *"hijk", phase="queued", address="2")
    assert there(kept) == "abchijk"


def test_of_other_programs_files_the_newest_stay_and_own_ones_are_never_taken_for_them(kept):
    """Another program may be running over the same folder, and one that ended leaves no more than this behind."""
    add(kept, "a")
    for age, name in enumerate("lkjihg"):
        (kept.folder / name).mkdir()
        os.utime(kept.folder / name, (1000 - age, 1000 - age))
    os.utime(kept.folder / "a", (1, 1))
    add(kept, "b")
    assert "".join(sorted(path.name for path in kept.folder.iterdir())) == "abijkl"
    Works(kept.folder, "")  # a program that starts beside this one
    assert "".join(sorted(path.name for path in kept.folder.iterdir())) == "bjkl"


@pytest.mark.parametrize("kind", ["grids", "videos"])
def test_files_of_earlier_programs_make_room_at_the_start(library, tmp_path, kind):
    for number in range(40):
        (tmp_path / "runs" / f".{kind}" / f"{number:012x}").mkdir(parents=True)
    Studio(tmp_path / "runs", library=library, waits=True)
    assert len([*(tmp_path / "runs" / f".{kind}").iterdir()]) == works.KEPT == 32


@pytest.mark.parametrize("kind", ["grids", "videos"])
def test_a_flood_from_one_address_leaves_the_others_what_is_made_and_what_is_asked_for(
    library, tmp_path, monkeypatch, kind
):
    monkeypatch.setattr(works, "KEPT", 3)
    studio = Studio(tmp_path / "runs", library=library, waits=True)
    part, seeds = getattr(studio, kind), iter(range(9))

    def start(address):
        request = replace(PLAIN, seed=next(seeds))
        if kind == "grids":
            return part.start(GridRequest(request=request, axes=(("guidance", "2"),)), address=address)
        return part.start(request, Motion(frames=1), address=address)

    asked = [start(address) for address in ("1", "2", "3", "3", "3")]
    studio.begin()
    for job in asked:
        *_, last = studio.events(job)
        assert last.phase == "done", last.message
        part.files(job)
    new = start("3")
    assert {job for job in asked if part.works.job(job)} == {*asked[:2]} and part.works.job(new)
    [*studio.events(new)]
    part.files(new)
    assert {path.name for path in part.works.folder.iterdir()} == {*asked[:2], new}
    studio.close()
