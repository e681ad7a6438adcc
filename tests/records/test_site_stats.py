"""The explorer's numbers equal those recomputed from the masks themselves, and its files are checked."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

from maskunet.masks.counting import Collector
from maskunet.masks.mask import unpack
from maskunet.records import Request, mask_set, site_stats
from maskunet.records.site_stats import HISTOGRAM_BINS, SiteStats, edges
from maskunet.runs import run_folder
from maskunet.runs.compare import compare
from tests.methods.test_methods import Redness
from tests.support.tiny_stats import Sites, random_masks, stats_of

SMALL = {1: (12, 8), 2: (6, 8)}


@pytest.fixture(scope="module")
def table():
    sites = Sites(SMALL)
    masks = [random_masks(sites, removed, seed) for removed, seed in ((0.3, 1), (0.1, 2), (0.5, 3))]
    return sites, masks, stats_of(sites, masks)


def test_counts_and_overlaps_are_those_of_the_sets(table):
    sites, masks, stats = table
    for s, site in enumerate(sites.sites):
        sets = [set(np.flatnonzero(m[site.name].numpy() < 0.5)) for m in masks]
        assert stats.removed[:, s].tolist() == [len(each) for each in sets]
        assert np.isnan(stats.overlap("before")[0, s]) and np.isnan(stats.overlap("first")[0, s])
        for step in (1, 2):
            for other, name in ((sets[step - 1], "before"), (sets[0], "first")):
                union = len(sets[step] | other)
                wanted = len(sets[step] & other) / union if union else np.nan
                assert stats.overlap(name)[step, s] == pytest.approx(wanted, nan_ok=True)
            assert stats.flips[step, s] == len(sets[step] ^ sets[step - 1])


def test_histograms_are_numpys(table):
    sites, masks, stats = table
    for s, site in enumerate(sites.sites):
        weight = sites.get_submodule(site.name).weight.detach()
        scaled = (weight / weight.std()).numpy().clip(-4.0999, 4.0999)
        assert np.histogram(scaled, edges())[0].tolist() == stats.histogram_all[s].tolist()
        for step, each in enumerate(masks):
            removed = scaled[each[site.name].numpy() < 0.5]
            assert np.histogram(removed, edges())[0].tolist() == stats.histogram[step, s].tolist()


def test_equal_masks_overlap_fully_and_empty_ones_have_no_overlap():
    sites = Sites(SMALL)
    same = stats_of(sites, [random_masks(sites, 0.4)] * 2)
    assert np.all(same.overlap("before")[1] == 1) and not same.flips.any()
    empty = stats_of(sites, [random_masks(sites, 0.0)] * 2)
    assert not empty.ratio.any() and np.isnan(empty.overlap("before")).all()


def test_logits_and_gradients_are_told_where_there_are_any():
    sites = Sites(SMALL)
    logits = {s.name: torch.full(s.shape, 2.0, requires_grad=True) for s in sites.sites}
    some = sites.sites[0]
    (logits[some.name] * 3).sum().backward()
    stats = Collector(sites, sites.sites)(10, random_masks(sites, 0.1), logits)
    assert stats.logit_mean[0].tolist() == [2.0] * len(sites.sites)
    assert stats.logit_std[0].tolist() == [0.0] * len(sites.sites)
    assert stats.gradient_norm[0, 0] == pytest.approx(3 * some.weights**0.5)
    assert np.isnan(stats.gradient_norm[0, 1:]).all()


def test_of_a_mask_per_sample_the_conditional_one_counts():
    sites = Sites(SMALL)
    kept, cut = random_masks(sites, 0.0), random_masks(sites, 0.5)
    both = {name: torch.stack((kept[name], cut[name])) for name in kept}
    collector = Collector(sites, sites.sites)
    assert collector(9, both).removed.tolist() == Collector(sites, sites.sites)(9, cut).removed.tolist()


def test_a_runs_table_equals_its_masks(tiny_sd15, tmp_path):
    request = Request(
        prompt="a cube",
        method="maskunet_free",
        preset="official",
        steps=3,
        keep_masks=True,
        settings={"updates": 2, "early_steps": 1},
    )
    *_, (_, run) = compare(tiny_sd15, Redness(), request)
    folder = run_folder.write(run, tmp_path / run.id)
    masks, stats = mask_set.load(folder / run_folder.MASKS), run_folder.read(folder).stats
    assert stats.timesteps.tolist() == list(masks.steps)
    bits = {t: {n: unpack(masks.steps[t][n], shape) for n, shape in masks.sites.items()} for t in masks.steps}
    for step, t in enumerate(masks.steps):
        assert stats.removed[step].tolist() == [int((bits[t][n] < 0.5).sum()) for n in stats.sites]
    with (folder / run_folder.SITES_TABLE).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == stats.ratio.size
    assert [float(row["removed_ratio"]) for row in rows] == stats.ratio.flatten().tolist()
    assert np.isfinite(stats.gradient_norm).all()


def test_the_file_gives_back_the_table(table, tmp_path):
    stats = table[2]
    site_stats.save(stats, tmp_path / "sites.npz")
    again = site_stats.load(tmp_path / "sites.npz")
    for name in SiteStats.__slots__:
        assert np.array_equal(getattr(again, name), getattr(stats, name), equal_nan=name in site_stats.PER_STEP)


@pytest.mark.parametrize(
    "changes",
    [
        {"removed": np.zeros((3, 2), int)},
        {"removed": np.full((3, 16), -1)},
        {"removed": np.full((3, 16), 10_000)},
        {"histogram": np.zeros((3, 16, HISTOGRAM_BINS - 1))},
        {"weights": np.zeros(16, int)},
        {"sites": ()},
        {"sites": ("up_blocks.1.attentions.0.transformer_blocks.0.<img src=x>",) * 16},
        {"sites": ("../../etc/passwd",) * 16},
        {"roles": ("<b>",) * 16},
    ],
)
def test_tables_that_cannot_be_are_refused(table, tmp_path, changes):
    site_stats.save(replace(table[2], **changes), tmp_path / "sites.npz")
    with pytest.raises(ValueError, match="statistics are missing, damaged or of another version"):
        site_stats.load(tmp_path / "sites.npz")


def test_files_that_are_no_tables_are_refused(tmp_path):
    path = tmp_path / "sites.npz"
    for data in (b"", b"PK\x03\x04 cut off", np.random.default_rng(0).bytes(5000)):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="damaged"):
            site_stats.load(path)
    np.savez(path, format=np.array("maskunet-sites-0"))
    with pytest.raises(ValueError, match="another version"):
        site_stats.load(path)
    with pytest.raises(ValueError, match="missing"):
        site_stats.load(tmp_path / "none.npz")
