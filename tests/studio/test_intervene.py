"""What the studio knows for interventions: where a model can be masked, its concepts, and that the newest wish wins."""

import builtins
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from maskunet.library.library import Library
from maskunet.masks import held
from maskunet.masks.selection import heads_of
from maskunet.masks.sites import find_sites
from maskunet.records import Request, held_mask
from maskunet.records.selection import place_of
from maskunet.records.site_stats import name_of
from maskunet.studio.studio import Studio
from maskunet.studio.wishes import REPLACED
from tests.support.machine import hold, soon
from tests.support.tiny import tiny_sd_folder

WISH = Request(prompt="a red cube", model="tiny", method="knock_out", settings={"what": "cross.v"}, previews=False)


def test_the_network_read_off_a_configuration_is_that_of_the_loaded_model(library):
    unet = library.load("tiny", with_rewards=False).model.unet
    network, sites = library.network("tiny"), find_sites(unet)
    assert network.sites == tuple(site.name for site in sites)
    assert list(network.heads) == heads_of(unet, sites)
    embedded = Library("tabletop", device="cpu").network("tabletop")
    assert len(embedded.sites) == 32 and {*embedded.heads} == {2, 4}
    assert all(str(place_of(name)) == name_of(name) for name in (*network.sites, *embedded.sites))


@pytest.mark.parametrize(
    ("config", "available"),
    [("{", False), ("[]", False), ("", False), ("[" * 100_000, False), ("\xff", False),
     ('{"block_out_channels": 5}', True), ('{"up_block_types": ["CrossAttnUpBlock3000"]}', True),
     ('{"block_out_channels": [8, 16, 32]}', True), ('{"layers_per_block": null}', True)],
)  # fmt: skip
def test_a_damaged_configuration_of_an_own_model_is_told_in_a_sentence(tmp_path, config, available):
    tiny_sd_folder(tmp_path / "mine")
    (tmp_path / "mine" / "unet" / "config.json").write_bytes(config.encode("latin-1"))
    here = Library("tabletop", device="cpu", models=tmp_path)
    said = "The unet of “mine” cannot be read: its config.json is damaged. Download it again."
    card = next(card for card in here.cards() if card.name == "mine")
    assert (card.available, card.refused, card.reason) == (available, not available, "" if available else said)
    with pytest.raises(ValueError) as refused:
        here.network("mine")
    assert str(refused.value) == said
    with pytest.raises(ValueError, match="cannot be read"):
        here.load("mine", with_rewards=False)
    if not available:
        with pytest.raises(ValueError, match=said):
            Library(weights=tmp_path / "mine", device="cpu").find("mine", with_rewards=False)


def test_concepts_are_the_kept_masks_with_a_direction(library, tmp_path):
    mine = Library("tiny", device="cpu", specs={"tiny": library.spec("tiny")}, trained=tmp_path)
    model = mine.load("tiny", with_rewards=False).model
    for name, recipe in (
        ("no-red", {"made": "by hand", "direction": "erase", "concept": "red"}),
        ("more", {"made": "by hand", "direction": "amplify"}),
        ("other", {"made": "by hand"}),
    ):
        mask = held.of_model(model, {0: np.arange(5, dtype=np.uint32)}, recipe)
        held_mask.save(mask, held_mask.place(tmp_path, "tiny", name))
    found = [(card.name, card.title, card.kind) for card in mine.concepts("tiny")]
    assert sorted(found) == [("more", "more", "amplify"), ("no-red", "red", "erase")]


def test_a_newer_wish_replaces_the_older_one_and_only_its_owners(library, tmp_path, monkeypatch):
    studio = Studio(tmp_path / "runs", library=library)
    try:
        held_up = hold(studio, monkeypatch)
        other = studio.instead(WISH, owner="b")
        first = studio.instead(WISH, owner="a")
        with pytest.raises(ValueError, match="a picture in the making already"):
            studio.instead(replace(WISH, method="plain", settings={}), owner="a")
        second = studio.instead(replace(WISH, settings={"what": "self.q"}), owner="a")
        held_up.set()
        *_, one = studio.events(first)
        *_, two = studio.events(second)
        *_, three = studio.events(other)
        assert (one.phase, one.message, one.run) == ("stopped", REPLACED, None)
        assert two.run.settings["what"] == "self.q" and three.phase == "done"
    finally:
        studio.close()


def test_of_several_wishes_that_wait_for_an_older_one_the_newest_wins(library, tmp_path, monkeypatch):
    studio = Studio(tmp_path / "runs", library=library)
    try:
        held_up = hold(studio, monkeypatch)
        first = studio.instead(WISH, owner="a")
        soon(lambda: studio.status().running)  # else it would be gone at once
        with ThreadPoolExecutor(3) as pool:
            asked = []
            for what in ("self.q", "self.k", "self.v"):
                known = studio._wishes._newest.get("a")
                asked.append(pool.submit(studio.instead, replace(WISH, settings={"what": what}), owner="a"))
                soon(lambda known=known: studio._wishes._newest.get("a") is not known)
            held_up.set()
            *older, newest = [each.result(60) for each in asked]
        assert older == [None, None] and studio._wishes._newest == {}
        *_, last = studio.events(newest)
        assert last.run.settings["what"] == "self.v" and studio.now(first).phase == "stopped"
    finally:
        studio.close()


def test_a_wish_that_was_withdrawn_ends_and_so_does_one_that_waits_for_it(library, tmp_path, monkeypatch):
    studio = Studio(tmp_path / "runs", library=library)
    try:
        held_up = hold(studio, monkeypatch)
        first, other = (studio.instead(WISH, owner=owner) for owner in "ab")
        soon(lambda: studio.status().running)  # else the first would be gone at once
        with ThreadPoolExecutor(1) as pool:
            waits = pool.submit(studio.instead, replace(WISH, settings={"what": "self.q"}), owner="a")
            soon(lambda: "a" in studio._wishes._newest)
            for owner in ("a", "nobody"):
                studio.withdraw(owner)
            held_up.set()
            assert waits.result(60) is None
        *_, one = studio.events(first)
        *_, two = studio.events(other)
        assert (one.phase, one.message, one.run) == ("stopped", REPLACED, None) and two.phase == "done"
        assert studio._wishes._newest == {}
    finally:
        studio.close()


def test_a_prompt_that_is_too_long_has_no_groups(library, tmp_path):
    studio = Studio(tmp_path / "runs", library=library)
    try:
        assert studio.groups("a red cube") == ["red cube"]
        assert studio.groups("cube. " + "red. " * 400_000) == []
    finally:
        studio.close()


def test_a_network_is_read_although_another_thread_is_importing_diffusers(library, monkeypatch):
    ways, real = [], builtins.__import__

    def importing(name, *args, **more):
        if name.endswith("unet_2d_condition") and len(ways) < 2:
            ways.append(name)
            raise KeyError("diffusers.models.unets")  # as Python does where the package has just been swapped
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", importing)
    assert library.network("tiny").sites and len(ways) == 2
