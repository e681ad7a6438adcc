"""Kept masks from a run, a trained generator, chance, values and by hand: the bits of their source, in its order."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from maskunet.masks import generator_file, held
from maskunet.masks.mask import magnitude, magnitude_limits, unpack, window
from maskunet.masks.sites import find_sites
from maskunet.methods import SPECS
from maskunet.records import Request, held_mask
from maskunet.records.disk import hub_parts
from maskunet.runs import mask_report, mask_sources, run_folder
from maskunet.runs.compare import compare
from tests.methods.test_methods import Redness, run
from tests.support.tiny import random_generator


def flat(masks, model):
    return held.flat(masks, held.shapes(model.unet)) < 0.5


def bits_of(packed, model):
    return flat({site.name: unpack(packed[site.name], site.shape) for site in find_sites(model.unet)}, model)


@pytest.fixture(scope="module")
def kept_run(tiny_sd15, tmp_path_factory):
    """The folder of a run that kept its masks."""
    folder = tmp_path_factory.mktemp("runs") / "a-run"
    asked = Request(prompt="a red cube", method="random_mask", seed=3, steps=3, keep_masks=True, previews=False)
    *_, (_, made) = compare(tiny_sd15, Redness(), asked, with_base=False)
    return run_folder.write(made, folder)


def test_a_runs_masks_are_kept_bit_by_bit(tiny_sd15, kept_run):
    made, masks = mask_sources.of_run(tiny_sd15, kept_run), run_folder.masks(kept_run)
    assert list(made.steps) == sorted(masks.steps) and len(made.steps) == 3
    for t, packed in masks.steps.items():
        assert np.array_equal(np.sort(made.steps[t]), np.flatnonzero(bits_of(packed, tiny_sd15)))
    assert made.recipe["run"] == run_folder.read(kept_run).id and made.recipe["request"]["prompt"] == "a red cube"
    second = mask_sources.of_run(tiny_sd15, kept_run, step=2)
    assert second.static and np.array_equal(second.at(0), made.steps[sorted(made.steps)[1]])


def test_a_run_is_found_by_its_id_among_the_pages_runs(tiny_sd15, kept_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_folder.write(replace(run_folder.read(kept_run), masks=run_folder.masks(kept_run)), tmp_path / "runs" / "abc")
    assert len(mask_sources.of_run(tiny_sd15, mask_sources.Path("abc")).steps) == 3


def test_what_a_run_cannot_give_is_told(tiny_sd15, kept_run, tmp_path):
    with pytest.raises(ValueError, match="There is no step 4; there are 1 to 3"):
        mask_sources.of_run(tiny_sd15, kept_run, step=4)
    with pytest.raises(ValueError, match="incomplete or damaged"):
        mask_sources.of_run(tiny_sd15, tmp_path)
    bare = run_folder.write(run_folder.read(kept_run), tmp_path / "bare")
    with pytest.raises(ValueError, match="kept no masks. Make it again with them"):
        mask_sources.of_run(tiny_sd15, bare)
    with pytest.raises(ValueError, match="the weights are others"):
        mask_sources.of_run(replace(tiny_sd15, weights={"unet/x": "1"}), kept_run)


def ask(model, steps=3):
    return Request(prompt="a red cube", seed=3, steps=steps, model=model.name)


def test_a_generators_masks_are_those_of_its_method_the_surest_weights_first(tiny_sd15):
    made = mask_sources.of_generator(tiny_sd15, "tiny", ask(tiny_sd15))
    events = run(
        tiny_sd15,
        "maskunet_trained",
        SPECS["maskunet_trained"].settings("", {"generator": "tiny"}),
        steps=3,
        keep_masks=True,
    )
    for event in events[:3]:
        assert np.array_equal(np.sort(made.steps[event.timestep]), np.flatnonzero(bits_of(event.masks, tiny_sd15)))
    assert made.steps[events[0].timestep].size > 100
    one = mask_sources.of_generator(tiny_sd15, "tiny", ask(tiny_sd15), step=2)
    assert one.static and np.array_equal(one.at(0), made.steps[events[1].timestep])
    assert not any(network._forward_hooks for network in tiny_sd15.cache.values())


def test_a_static_generator_gives_its_weights_in_the_order_of_their_logits(tiny_sd15, tmp_path):
    generator = random_generator(tiny_sd15.unet, variant="static")
    path = tmp_path / "fixed.safetensors"
    generator_file.save(generator, path, {"model": "tiny", "weights": tiny_sd15.weights})
    model = replace(tiny_sd15, trained={"generator": {"fixed": path}}, cache={})
    made = mask_sources.of_generator(model, "", ask(model), step=1)
    logits = {
        n: each
        for block in generator.blocks.values()
        for names, above in block(torch.zeros(1, 0), torch.zeros(1, 0))
        for n, each in zip(names, above[0])
    }
    values = held.flat(logits, made.sites)[made.at(0)]
    assert (np.diff(values) >= 0).all() and np.array_equal(
        np.sort(made.at(0)), np.flatnonzero(flat(generator.fixed(), model))
    )


def test_chance_is_that_of_the_control_and_nested_over_its_ratio(tiny_sd15):
    few, many = (mask_sources.by_chance(tiny_sd15, "iid", share, seed=5) for share in (0.05, 0.4))
    assert len(many.at(0)) == round(0.4 * many.total) and np.array_equal(few.at(0), many.at(0)[: len(few.at(0))])
    first = run(tiny_sd15, "random_mask", SPECS["random_mask"].settings("", {"removed": 0.3}), seed=5, keep_masks=True)[
        0
    ]
    control = np.flatnonzero(bits_of(first.masks, tiny_sd15))
    assert {*control.tolist()} == {*many.at(0)[: len(control)].tolist()}
    assert not np.array_equal(few.at(0), mask_sources.by_chance(tiny_sd15, "iid", 0.05, seed=6).at(0))


def test_values_choose_the_nearest_or_the_smallest_first(tiny_sd15):
    weights = {s.name: tiny_sd15.unet.get_submodule(s.name).weight for s in find_sites(tiny_sd15.unet)}
    near = mask_sources.by_chance(tiny_sd15, "window", 0.1)
    inside = flat({n: window(w, 1.0, 0.3) for n, w in weights.items()}, tiny_sd15)
    assert inside[near.at(0)[: int(inside.sum())]].mean() > 0.999
    small = mask_sources.by_chance(tiny_sd15, "magnitude", 0.2)
    wanted = flat({n: magnitude(w, magnitude_limits(w, [0.2])[0]) for n, w in weights.items()}, tiny_sd15)
    assert abs(len(small.at(0)) - wanted.sum()) <= len(weights) and wanted[small.at(0)].mean() > 0.99


def test_a_seed_by_chance_is_taken_as_everywhere(tiny_sd15):
    one, another = (mask_sources.of_words(tiny_sd15, random="iid", removed=0.5, seed=-1) for _ in range(2))
    assert one.recipe["seed"] != another.recipe["seed"] and (one.at(0) != another.at(0)).any()
    again = mask_sources.of_words(tiny_sd15, random="iid", removed=0.5, seed=str(one.recipe["seed"]))
    assert (again.at(0) == one.at(0)).all() and again.recipe == one.recipe


def test_by_hand_it_is_the_places_that_are_named_when_they_are_named(tiny_sd15):
    always = mask_sources.by_hand(tiny_sd15, "cross.v")
    names = [site for site in find_sites(tiny_sd15.unet) if site.attention == "cross" and site.role == "v"]
    assert always.static and len(always.at(0)) == sum(site.weights for site in names)
    then = mask_sources.by_hand(tiny_sd15, "cross.v@2-3", steps=4)
    assert [bool(p.size) for _, p in sorted(then.steps.items(), reverse=True)] == [False, True, True, False]
    part = mask_sources.restricted(tiny_sd15, "it", mask_sources.by_chance(tiny_sd15, "iid", 0.5), "cross.v@1", 2)
    assert {*part.at(999).tolist()} < {*always.at(0).tolist()} and not part.at(0).size
    with pytest.raises(ValueError, match="weakens weights"):
        mask_sources.by_hand(tiny_sd15, "cross.v=0.5")
    with pytest.raises(ValueError, match="means nothing here"):
        mask_sources.by_hand(tiny_sd15, "block9")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "exactly one of run, generator"),
        ({"random": "iid", "select": "all"}, "exactly one of run, generator"),
        ({"random": "dice"}, "no random mask “dice”. There are: iid"),
        ({"random": "iid", "removed": 1.5}, "allowed is 0 to 1"),
        ({"random": "iid", "seed": "seven"}, "The seed must be a number from 0 to"),
        ({"random": "iid", "seed": 2**64}, "The seed is 18,446,744,073,709,551,616; allowed is 0 to"),
        ({"generator": "tiny"}, "those of a prompt"),
        ({"generator": "other", "prompt": "a cat"}, "no mask generator “other”"),
    ],
)
def test_what_cannot_be_made_is_told(tiny_sd15, given, sentence):
    with pytest.raises(ValueError, match=sentence):
        mask_sources.of_words(tiny_sd15, **given)


def test_a_mask_is_kept_once_and_removed_but_nothing_else_is(tiny_sd15, tmp_path):
    made = mask_sources.by_chance(tiny_sd15, "iid", 0.1)
    path = mask_sources.free_place("mine", "tiny", {}, tmp_path)
    held_mask.save(made, path)
    assert path == tmp_path / "tiny" / "mine" / "trained.safetensors"
    with pytest.raises(ValueError, match="There is a mask “mine” of tiny already"):
        mask_sources.free_place("mine", "tiny", {"mine": path}, tmp_path)
    (tmp_path / "tiny" / "lora").mkdir()
    with pytest.raises(ValueError, match="Something else of tiny is called “lora”"):
        mask_sources.free_place("lora", "tiny", {}, tmp_path)
    for name in ("..", "../../x", "a/b"):
        with pytest.raises(ValueError, match="cannot be called"):
            mask_sources.free_place(name, "tiny", {}, tmp_path)
        with pytest.raises(ValueError, match="cannot be called"):
            mask_sources.remove(name, "tiny", {name: path}, tmp_path)
    with pytest.raises(ValueError, match="There is no mask “other” of tiny. There are: mine"):
        mask_sources.remove("other", "tiny", {"mine": path}, tmp_path)
    with pytest.raises(ValueError, match="came with tiny and stays"):
        mask_sources.remove("shipped", "tiny", {"shipped": path}, tmp_path)
    (path.parent / "notes.txt").write_text("")
    with pytest.raises(ValueError, match="holds other files"):
        mask_sources.remove("mine", "tiny", {"mine": path}, tmp_path)
    (path.parent / "notes.txt").unlink()
    (path.parent / hub_parts.ORIGIN).write_text("{}")  # of a mask that was fetched from the Hub
    mask_sources.remove("mine", "tiny", {"mine": path}, tmp_path)
    assert [p.name for p in (tmp_path / "tiny").iterdir()] == ["lora"]


def test_the_report_counts_what_goes_where_and_when(tiny_sd15, kept_run):
    made = mask_sources.of_run(tiny_sd15, kept_run)
    found = mask_report.about("mine", made)
    for row in found["sites"]:
        site = next(s for s in find_sites(tiny_sd15.unet) if s.name == row["site"])
        packed = run_folder.masks(kept_run).steps[row["timestep"]][row["site"]]
        assert row["removed"] == site.weights - int(np.unpackbits(packed, count=site.weights).sum())
        assert (row["block"], row["attention"], row["role"], row["weights"]) == (
            site.block,
            site.attention,
            site.role,
            site.weights,
        )
    assert sum(row["removed"] for row in found["sites"]) == sum(step["removed"] for step in found["steps"])
    text = mask_report.text("mine", made)
    assert text.startswith("mine: tiny, ") and "each of 3 steps its own, made: run." in text
    assert "block1.cross.v" in text and '"prompt": "a red cube"' in text
    empty = held.of_model(tiny_sd15, {0: np.zeros(0, np.uint32)}, {"made": "test"})
    assert held.EMPTY in mask_report.line("none", empty)
