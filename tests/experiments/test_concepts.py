"""Concept masks: what is planted is found and erased, what must stay stays, and a study goes on where it was stopped."""

import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from maskunet.commands.registry import main
from maskunet.experiments.concepts import (
    attribution,
    concept,
    figures,
    listed,
    make,
    relations,
    report,
    study,
    subjects,
    taught,
)
from maskunet.experiments.concepts.concept import ATTRIBUTES, TabletopConcept, judges, worded
from maskunet.experiments.concepts.study import Study
from maskunet.library.library import Loaded
from maskunet.masks import held
from maskunet.masks.masked_unet import MaskedUNet
from maskunet.records import Request, held_mask
from maskunet.rewards.base import WeightedRewards
from maskunet.tabletop.scenes import Thing
from maskunet.tabletop.tasks import Case
from maskunet.training import checkpoint
from tests.support import tiny_library
from tests.support.tiny_benchmarks import write_clip

CHANNELS = {"red": 0, "green": 1, "blue": 2}
RED = TabletopConcept(name="red", attribute="color", retain=("color", "shape"))
SMALL = make.Making(rounds=3, share=0.02, showing=4, staying=4, kept=0.0)


def channel(image, prompts, red=0.0):
    """A reward that sees one thing: how much of the color that a caption names there is; of red there is more."""
    places = [next((CHANNELS[word] for word in prompt.split() if word in CHANNELS), 1) for prompt in prompts]
    more = torch.tensor([red, 0.0, 0.0])
    return 100 * torch.stack([one[place].mean() + more[place] for one, place in zip(image, places, strict=True)])


@pytest.fixture
def rewards():
    return WeightedRewards({"channel": (channel, 1.0)})


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(attribution, "STEPS", 2)
    monkeypatch.setattr(attribution, "LOOKED", (1,))


def test_the_gradient_tells_what_the_removal_of_a_weight_does(tiny_sd15, rewards, monkeypatch):
    monkeypatch.setattr(attribution, "STEPS", 1)
    monkeypatch.setattr(attribution, "LOOKED", (0,))
    examples, sites = RED.showing(3, 0), held.shapes(tiny_sd15.unet)
    like = next(tiny_sd15.unet.parameters())
    with MaskedUNet(tiny_sd15.unet) as masked:
        before = attribution.look(tiny_sd15, masked, rewards, examples)
    strong = before.gradients.mean(0).abs().topk(12).indices.numpy().astype(np.uint32)
    changes = []
    for place in strong:
        with MaskedUNet(tiny_sd15.unet) as masked:
            masked.fold(held.tensors(np.array([place], np.uint32), sites, like))
            after = attribution.look(tiny_sd15, masked, rewards, examples)
        changes.append(float((after.margins - before.margins).mean()))
        assert not after.gradients[:, place].any()  # of what is gone
    promised = -before.gradients.mean(0)[strong.astype(np.int64)].numpy()
    assert np.corrcoef(changes, promised)[0, 1] > 0.95


@pytest.mark.parametrize(("direction", "sign"), [("erase", -1), ("amplify", 1)])
def test_rounds_move_the_margin_and_never_take_a_weight_twice(tiny_sd15, short, direction, sign):
    rewards = WeightedRewards({"channel": (partial(channel, red=-0.5 * sign), 1.0)})  # it is there, or it is not
    rounds = [*make.make(tiny_sd15, rewards, RED, replace(SMALL, direction=direction, gone=0.0))]
    assert sign * (rounds[-1].margin - rounds[0].margin) > 0 and len(rounds) > 1
    for before, after in zip(rounds, rounds[1:], strict=False):
        assert after.removed[: len(before.removed)].tolist() == before.removed.tolist()
    assert len({*rounds[-1].removed.tolist()}) == len(rounds[-1].removed)
    mask = make.held_mask(tiny_sd15, RED, SMALL, rounds[-1], {})
    told = {name: mask.recipe[name] for name in ("made", "concept", "attribute", "direction")}
    assert told == {"made": "concept", "concept": "red", "attribute": "color", "direction": "erase"} and mask.static


def test_a_round_that_takes_too_much_is_taken_back_and_what_is_gone_ends_it(tiny_sd15, short, monkeypatch):
    def rounds(seen, wins, **more):
        told = iter(zip(seen, wins, strict=True))

        def look(model, rewards, concept, making, number, removed):
            shown, own = next(told)
            own = {"color": own, "size": 0.5}  # of which the second tells nothing from the beginning
            return torch.arange(1000.0), make.Round(number=number, removed=removed, seen=shown, margin=0.0, wins=own)

        monkeypatch.setattr(make, "_look", look)
        return [*make.make(tiny_sd15, None, RED, make.Making(rounds=3, share=0.01, **more))]

    gone = rounds((1.0, 0.5, 0.1), (1.0, 1.0, 0.9))
    assert [len(each.removed) for each in gone] == [0, 10, 20] and gone[-1].end == "gone"
    back = rounds((1.0, 0.5, 0.4), (1.0, 1.0, 0.8))
    assert (len(back[-1].removed), back[-1].seen, back[-1].end) == (10, 0.5, "kept")
    assert rounds((1.0,) * 4, (1.0,) * 4)[-1].end == "rounds"
    with pytest.raises(ValueError, match="The rewards see no “red” in 12 pictures of prompts such as “"):
        rounds((0.0,), (1.0,))


def test_prompts_that_judge_make_no_masks():
    made = [
        each for turn in range(10) for one in concept.concepts() for each in one.showing(9, turn) + one.staying(8, turn)
    ]
    judging = {
        subject.prompt for one in concept.concepts() for subject in subjects.showing(one, 32) + subjects.others(one, 32)
    }
    assert len(judging) > 80 and not judging & {each.prompt for each in made}
    choosing = {
        subject.prompt
        for one in concept.concepts()
        for subject in subjects.showing(one, 16, subjects.TRAINING) + subjects.others(one, 16, subjects.TRAINING)
    }
    assert len(choosing) > 80 and not judging & choosing


@pytest.mark.parametrize("one", [*concept.concepts()], ids=lambda one: one.name)
def test_what_shows_a_concept_names_it_and_what_stays_is_something_else(one):
    for each in one.showing(9, 3):
        assert named(one, each.prompt) and each.attribute == one.attribute
        assert not any(named(one, rival) for rival in each.rivals)
    for each in one.staying(16, 3):
        if named(one, each.prompt):  # which then another attribute is asked of
            assert each.attribute != one.attribute and all(named(one, rival) for rival in each.rivals)
    assert one.showing(3, 0) == one.showing(3, 0) != one.showing(3, 1)
    opened = one.showing(9, 0, amplify=True)
    assert all(named(one, each.caption) for each in opened)
    assert any(named(one, each.prompt) for each in opened) == (one.attribute in ("shape", "count"))
    assert all(named(one, subject.prompt) for subject in subjects.showing(one, 32))
    assert not any(named(one, subject.prompt) for subject in subjects.others(one, 32))
    assert len({*subjects.showing(one, 32)}) == len({*subjects.others(one, 32)}) == 32


def test_more_pictures_than_prompts_take_other_noise():
    for found, few in ((subjects.others(RED, 200), subjects.others(RED, 32)), (subjects.showing(RED, 200), [])):
        assert len({*found}) == len({(each.prompt, each.seed) for each in found}) == 200 and {*few} <= {*found}
    assert sum("count" in dict(each.words) for each in subjects.others(RED, 200)) == 50


@pytest.mark.parametrize("name", ["small", "binding"])
def test_a_concept_that_no_prompt_names_cannot_be_judged(name):
    one = TabletopConcept(name=name, attribute="size" if name == "small" else "relation")
    with pytest.raises(ValueError, match=f"No prompt names “{name}”"):
        subjects.showing(one, 1)


def test_the_checkers_word_on_a_picture():
    red = Thing("cube", "red", "striped")
    words = {"texture": "striped", "color": "red", "shape": "cube"}
    assert subjects.shows([red], words, "color") and subjects.right([red], words)
    green = [replace(red, color="green")]
    assert not subjects.shows(green, words, "color") and subjects.right(green, words, without="color")
    split = [replace(red, shape="cone"), replace(red, texture="matte")]  # each lacks something
    assert subjects.shows(split, words, "shape") and not subjects.right(split, words)
    two = {"count": "two", "color": "red", "shape": "cube"}
    assert subjects.right([red, red], two) and not subjects.right([red] * 3, two)
    assert subjects.right([red], two, without="count") and not subjects.shows([red], two, "count")
    assert worded({"count": "two", "color": "red", "shape": "cube"}) == "two red cubes"
    assert judges({"texture": "matte", "color": "green", "shape": "sphere"})  # never rendered for training


@pytest.mark.parametrize(
    ("given", "said"),
    [(("red",), "The retain set holds “red”"), (("smells",), "There is no attribute “smells”"), ((), "is empty")],
)
def test_a_retain_set_that_cannot_be(given, said):
    with pytest.raises(ValueError, match=said):
        concept.retained(given, "red")
    assert concept.retained(("colors", "texture"), "red") == ("color", "texture")


class Checker:
    """Sees what the prompts' seeds were planted with: red while no weight is gone."""

    def see(self, image):
        return [[Thing("cube", "red", "striped")] for _ in image]


@pytest.fixture
def asked(tiny_sd15, rewards, short, tmp_path):
    return Study(
        loaded=Loaded(model=tiny_sd15, rewards=rewards, checker=Checker()),
        concepts=[RED, TabletopConcept(name="striped", attribute="texture", retain=("color",))],
        pairs=[("red", "striped")], making=replace(SMALL, rounds=1), n=2, few=1, steps=2, identity={"model": "tiny"},
        out=tmp_path,
    )  # fmt: skip


def test_a_study_that_is_stopped_after_every_step_makes_each_picture_once(asked, monkeypatch):
    monkeypatch.setattr(make, "_look", _planted_look)
    monkeypatch.setattr(study, "DOSES", (0.5,))
    monkeypatch.setattr(study, "CHOICES", (0.5, 1.0))
    for name, value in {"PICTURES": 2, "BATCH": 2, "STEPS": 1}.items():
        monkeypatch.setattr(taught, name, value)
    for _ in range(60):
        if not [*study.run(asked, lambda: "stop")]:
            break
    rows = asked.rows()
    keys = [study._key(row) for row in rows]
    kinds = {row["kind"] for row in rows}
    assert len({*keys}) == len(keys) and kinds == {
        *("base", "erase", "random", "choose", "chosen", "amplify", "negative", "lora", "pair", "dose")
    }
    shutil.rmtree(asked.out / "loras")  # as where results are published; their pictures are there
    assert [*study.run(asked)] == [] and not (asked.out / "loras").exists()
    assert [*study.run(replace(asked, n=3))] and asked.rows()[: len(rows)] == rows  # more pictures come behind
    with pytest.raises(ValueError, match="another steps"):
        [*study.run(replace(asked, steps=3))]
    (random,) = asked.out.glob("masks/random_*.safetensors")
    assert len(held_mask.load(random).at(0)) == len(held_mask.load(asked.mask("red")).at(0))


def test_a_study_is_stopped_within_a_loras_training_and_goes_on_there(asked, monkeypatch):
    monkeypatch.setattr(make, "_look", _planted_look)
    for name, value in {"PICTURES": 2, "BATCH": 2, "STEPS": 3}.items():
        monkeypatch.setattr(taught, name, value)
    only = [(study.Arm(kind="lora", concept="red", group="showing"), subjects.showing(RED, 1))]
    monkeypatch.setattr(study, "work", lambda asked: only)
    assert "erase red: " in [*study.run(asked, lambda: "stop")][-1]  # its mask comes first
    for step in (1, 2, 3):
        assert [*study.run(asked, lambda: "stop")] == [f"LoRA without red: step {step} of 3"]
        state = torch.load(asked.lora("red") / checkpoint.STATE, weights_only=True)
        assert state["step"] == step and not asked.rows()  # no picture of a LoRA that is half taught
    assert [*study.run(asked)] == ["lora red showing: 1 pictures"]


def test_where_no_mask_was_found_the_pictures_are_the_bases_and_no_mask_is_offered(asked):
    empty = held.of_model(asked.loaded.model, {0: np.empty(0, np.uint32)}, {"made": "concept", "end": "kept"})
    asked.mask("red").parent.mkdir()
    for name in ("red", "striped"):
        held_mask.save(empty, asked.mask(name))
    some, before = subjects.showing(RED, 2), dict(asked.loaded.model.trained["mask"])
    kinds = {"base": "", "erase": "red", "dose": "red", "pair": "red+striped", "random": ""}
    seen = {}
    for kind, name in kinds.items():
        arm = study.Arm(kind=kind, concept=name, group="showing", dose=0.0 if kind == "random" else 1.0)
        seen[kind] = study._how(asked, arm)
        assert [row["kind"] for row in study.pictures(asked, arm, some)] == [kind, kind]
    assert {method for method, _, _ in seen.values()} == {"plain"} and asked.loaded.model.trained["mask"] == before


def test_a_lora_is_taught_the_rivals_pictures_under_the_concepts_prompts(tiny_sd15):
    pairs = taught.lessons(tiny_sd15, RED, 3, 1)
    assert [pairs(i, 0).caption for i in range(3)] == [each.prompt for each in RED.showing(3, 0)]
    assert [pairs(i, 0).caption for i in range(3, 6)] == [each.prompt for each in RED.staying(3, 0)]
    first = RED.showing(3, 0)[0]
    asked = Request(prompt=first.rivals[0], seed=first.seed, model=tiny_sd15.name, method="plain", steps=1)
    asked = replace(asked, guidance=tiny_sd15.guidance)
    spec = study.METHODS["plain"]
    *_, last = spec.run(tiny_sd15, WeightedRewards({}), asked, spec.settings("", {}))
    assert np.abs(pairs(0, 0).image.astype(int) - last.image).max() <= 1


def _planted_look(model, rewards, concept, making, number, removed):
    total = sum(a * b for a, b in held.shapes(model.unet).values())
    scores = torch.randn(total, generator=torch.Generator().manual_seed(len(concept.name)))
    return scores, make.Round(number=number, removed=removed, seen=0.5, margin=0.0, wins={"color": 1.0})


def named(one, text):
    return one.name in (word.removesuffix("s") for word in text.split())


def planted(kind, things, group="showing", words=None, name="red", seed=0, dose=1.0):
    words = words or {"texture": "striped", "color": "red", "shape": "cube"}
    return {
        "kind": kind, "concept": "" if kind == "base" else name, "group": "" if kind == "base" else group, "dose": dose,
        "prompt": worded(words), "words": words, "seed": seed,
        "seen": [{"shape": s, "color": c, "texture": t, "size": "large"} for s, c, t in things],
    }  # fmt: skip


def planted_rows(erased, spared=32):
    """32 pictures of red prompts and 32 of blue ones; so many are erased, and so many others are spared."""
    other = {"texture": "striped", "color": "blue", "shape": "cone"}
    rows = []
    for seed in range(32):
        red, green = [("cube", "red", "striped")], [("cube", "green", "striped")]
        rows += [planted("base", red, seed=seed), planted("erase", green if seed < erased else red, seed=seed)]
        rows += [planted("random", red, "", name="", seed=seed, dose=1e6)]
        blue, lost = [("cone", "blue", "striped")], [("cone", "blue", "matte")]
        rows += [planted("base", blue, words=other, seed=seed)]
        rows += [planted("erase", blue if seed < spared else lost, "others", other, seed=seed)]
    return rows


def test_pictures_of_one_prompt_are_no_further_trials():
    rows = [{"prompt": f"p{seed // 4}", "seed": seed, "gone": seed < 8} for seed in range(16)]
    base = {figures.picture(row): {**row, "gone": False} for row in rows}
    found = figures.paired("x", rows, base, lambda row: not row["gone"])
    assert (found["x_n"], found["x"], found["x_ratio"], found["x_p"]) == (16, 0.5, 0.5, 0.5)
    assert (found["x_low"], found["x_high"]) == (found["x_ratio_low"], found["x_ratio_high"]) == (0, 1)


@pytest.fixture
def lines_of(asked):
    total = sum(a * b for a, b in held.shapes(asked.loaded.model.unet).values())
    recipe = {"made": "concept", "end": "gone"}
    asked.mask("red").parent.mkdir()
    held_mask.save(
        held.of_model(asked.loaded.model, {0: np.arange(total // 100, dtype=np.uint32)}, recipe), asked.mask("red")
    )
    return lambda rows: report.summarize(replace(asked, concepts=[RED], pairs=[]), rows)


def test_a_planted_erasure_meets_the_bars(lines_of, asked):
    (line,) = lines_of(planted_rows(erased=28))
    assert (
        line["passes"]
        and (line["shown"], line["shown_ratio"]) == (0.125, 0.125)
        and line["removed"] == pytest.approx(0.01, rel=0.1)
    )
    assert line["shown_low"] < 0.125 < line["shown_high"] < 0.3 and line["rest_ratio"] == line["others_ratio"] == 1
    assert line["shown_ratio_low"] < 0.125 < line["shown_ratio_high"]
    report.save(replace(asked, concepts=[RED], pairs=[]), planted_rows(28), {"command": "x", "model": "tiny"})
    page = (asked.out / "concepts.md").read_text()
    assert page.split("\n")[2].startswith("**1 of 1 colors, shapes and textures meets all bars**: red.")
    assert json.loads((asked.out / "concepts.json").read_text())["lines"][0]["passes"]


def test_training_prompts_choose_the_dose_and_other_prompts_judge_it(lines_of):
    """All of the mask harms others, half of it erases nothing: of the doses between, the smallest that is best."""
    other = {"texture": "striped", "color": "blue", "shape": "cone"}
    things = {False: [("cube", "red", "striped")], True: [("cube", "green", "striped")]}
    rest = {False: [("cone", "blue", "matte")], True: [("cone", "blue", "striped")]}
    rows = planted_rows(erased=32, spared=0)
    for seed in range(100, 104):
        rows += [planted("base", things[False], seed=seed), planted("base", rest[True], words=other, seed=seed)]
        for dose in study.CHOICES:
            rows += [planted("choose", things[dose > 0.5], seed=seed, dose=dose)]
            rows += [planted("choose", rest[dose < 1], "others", other, seed=seed, dose=dose)]
    assert study.chosen_dose(RED, rows) == 0.6 and study.chosen_dose(RED, rows[:-2]) == 1
    assert not lines_of(rows)[0]["passes"]  # nothing judged that dose yet
    for seed in range(32):
        rows += [planted("chosen", things[seed < 30], seed=seed, dose=0.6)]
        rows += [planted("chosen", rest[True], "others", other, seed=seed, dose=0.6)]
    (line,) = lines_of(rows)
    assert (line["dose"], line["shown"], line["others_ratio"], line["dose_1"]["others_ratio"]) == (0.6, 0.0625, 1, 0)
    assert line["passes"] and line["removed"] == pytest.approx(0.006, rel=0.1)


@pytest.mark.parametrize(
    ("erased", "spared", "said"), [(20, 32, "still shown"), (32, 20, "other prompts suffer"), (0, 32, "still shown")]
)
def test_what_misses_a_bar_is_named(lines_of, erased, spared, said):
    (line,) = lines_of(planted_rows(erased, spared))
    assert not line["passes"] and report.lacks(line) == said and f"red ({said})" in report.verdict([line])
    assert line["collateral"]["texture"] == pytest.approx(spared / 32) and line["collateral"]["color"] == 1


def test_a_random_mask_that_does_the_same_or_is_not_there_yet_fails(lines_of):
    rows = planted_rows(28)
    (line,) = lines_of([row for row in rows if row["kind"] != "random"])
    assert not line["passes"] and report.lacks(line) == "not all of the random mask's pictures yet"
    same = [{**row, "seen": []} if row["kind"] == "random" else row for row in rows]
    assert "random mask changes it too" in report.lacks(lines_of(same)[0])
    with pytest.raises(ValueError, match="no pictures of a mask yet"):
        lines_of([row for row in rows if row["kind"] == "base"])


def test_a_random_picture_counts_once_though_a_larger_mask_came_later(lines_of):
    rows = planted_rows(28)
    larger = [{**row, "dose": 2e6, "seen": []} for row in rows if row["kind"] == "random"]
    for some in (rows + larger, larger + rows):  # of each picture the fewest weights, not fewer than the mask's
        (line,) = lines_of(some)
        assert line["random_shown_n"] == 32 and line["random_shown"] == 1 and line["passes"]
    smaller = [{**row, "dose": 1.0} for row in larger]  # no control of as many weights
    assert lines_of(rows + smaller)[0]["random_shown_n"] == 32
    half = [row for row in rows + larger if row["kind"] != "random" or row["seed"] < 16]
    (line,) = lines_of(half)
    assert line["random_shown_n"] == 16 and report.lacks(line) == "not all of the random mask's pictures yet"


def test_the_verdict_counts_in_english(lines_of):
    (line,) = lines_of(planted_rows(28))
    one, none = (report.verdict([each]) for each in (line, {**line, "attribute": "count"}))
    assert one.startswith(
        "**1 of 1 colors, shapes and textures meets all bars**: red. 1 is erased to at most a quarter. "
    )
    assert "With all of each mask on, 1 meets them: red." in one
    assert (
        none.startswith("**0 of 0 colors, shapes and textures meet all bars**. 0 are erased ") and "0 meet them" in none
    )
    two = report.verdict([line, {**line, "concept": "blue"}])
    assert "2 of 2 colors, shapes and textures meet all bars" in two and "2 are erased" in two and "2 meet them" in two


def test_a_concept_without_a_mask_is_said_to_have_none(lines_of, asked):
    empty = held.of_model(asked.loaded.model, {0: np.empty(0, np.uint32)}, {"made": "concept", "end": "kept"})
    held_mask.save(empty, asked.mask("red"))
    (line,) = lines_of(planted_rows(erased=0))
    assert line["weights"] == 0 and not line["passes"] and "red (no mask found)" in report.verdict([line])


def test_where_the_base_shows_nothing_there_is_no_ratio():
    rows = [planted("erase", [], seed=seed) for seed in range(4)]
    base = {figures.picture(row): row for row in rows}
    found = figures.paired("x", rows, base, lambda row: bool(row["seen"]))
    assert {key for key, value in found.items() if value is None} == {"x_ratio", "x_ratio_low", "x_ratio_high"}
    assert (found["x_n"], found["x_base"], found["x"], found["x_p"]) == (4, 0, 0, 1)
    assert figures.paired("x", rows, {}, bool) == {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_library.write(tmp_path_factory.mktemp("concepts") / "model")


@pytest.fixture
def command(folder, tmp_path, monkeypatch, capsys, short):
    """Runs concept in a folder of its own with three files of prompts; gives the exit code and what was written."""
    monkeypatch.chdir(tmp_path)
    texts = {
        "prompts": "a red cube\na red sphere",
        "rivals": "a cube | a blue cube\na sphere",
        "retain": "a cat\na dog\na blue cube",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.txt").write_text(text)

    def run(*words, **files):
        files = {"prompts": "prompts.txt", "rivals": "rivals.txt", "retain-prompts": "retain.txt", **files}
        given = [f"--{name}={file}" for name, file in files.items() if file]
        capsys.readouterr()
        try:
            code = main(["concept", *words, f"--weights={folder}", "--device=cpu", *given])
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr()

    return run


QUICK = ("--set", "rounds=1", "--set", "showing=2", "--set", "staying=2", "--set", "kept=0", "--set", "gone=0")


@pytest.mark.parametrize("judge", ["rewards", "clip"])
def test_a_concept_of_ones_own_on_any_base(command, tmp_path, judge):
    with_clip = ("--clip", str(write_clip(tmp_path / "clip"))) if judge == "clip" else ()
    code, said = command("make", "red", *QUICK, *with_clip, "--amplify", "--name", "mine")
    assert code == 0 and said.out.startswith("mine: folder, 0.10% of "), said.err
    mask = held_mask.load(held_mask.place(tmp_path / "trained", "folder", "mine"))
    assert (mask.recipe["concept"], mask.recipe["attribute"], mask.recipe["direction"]) == ("red", "own", "amplify")
    code, said = command("list", **{"prompts": "", "rivals": "", "retain-prompts": ""})
    assert code == 0 and said.out.startswith("mine: ")
    code, said = command("make", "red", *QUICK, "--name", "mine")
    assert code == 2 and "There is a mask “mine” of folder already" in said.err


@pytest.mark.parametrize(
    ("seen", "wins", "said"),
    [
        ([0.1, 0.1], [1.0, 1.0], "The rewards see “red” in 1 of 10 pictures of the base, which counts as gone already"),
        ([1.0, 1.0], [1.0, 0.5], "The first round already takes too much of what must stay"),
    ],
)
def test_a_mask_that_removes_nothing_is_refused_and_not_kept(command, tmp_path, monkeypatch, seen, wins, said):
    def look(model, rewards, concept, making, number, removed):
        total = sum(a * b for a, b in held.shapes(model.unet).values())
        told = make.Round(number=number, removed=removed, seen=seen[number], margin=0.0, wins={"own": wins[number]})
        return torch.arange(float(total)), told

    monkeypatch.setattr(make, "_look", look)
    code, told = command("make", "red", "--set", "rounds=1", "--set", "showing=10", "--name", "mine")
    assert code == 2 and said in told.err and "there is no mask to keep" in told.err and not told.out
    assert not any(end in told.err for end in make.ENDS.values()) and not (tmp_path / "trained").exists()
    seen[0] = wins[1] = 1.0  # the name is free still
    assert command("make", "red", "--set", "rounds=1", "--set", "showing=10", "--name", "mine")[0] == 0


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"prompts": ""}, "“red” needs prompts that show it"),
        ({"retain-prompts": "prompts.txt"}, "The prompts that must stay hold “red”: “a red cube”"),
        ({"rivals": "retain.txt"}, "There are 2 prompts and 3 lines of rivals"),
        ({"rivals": "prompts.txt"}, "The rivals of “a red cube” are none or the prompt itself"),
        ({"prompts": "missing.txt"}, "missing.txt"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_are_refused_in_a_sentence(command, files, said):
    code, told = command("make", "red", *QUICK, **files)
    assert code == 2 and told.err.count("\n") == 1 and said in told.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("make",), "make takes a concept"),
        (("make", "red", "--retain", "red"), "The retain set holds “red”"),
        (("make", "crimson"), "The embedded worlds know no “crimson”"),
        (("make", "red", "--set", "rounds=0"), "rounds"),
        (("study", "--concepts", "red,crimson"), "there is no concept “crimson” to study"),
    ],
)
def test_words_that_cannot_be_are_refused_in_a_sentence(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(["concept", *words, "--model", "tabletop", "--device", "cpu"])
    except SystemExit as end:
        code = end.code
    told = capsys.readouterr().err
    assert code == 2 and said in told and told.count("\n") == 1


def test_the_values_are_those_of_the_world():
    assert [*concept.concepts()][0].name == "red" and len([*concept.concepts()]) == 19
    assert {one.attribute for one in concept.concepts()} == {*ATTRIBUTES} - {"size"}
    assert listed.ATTRIBUTE not in ATTRIBUTES


@pytest.mark.parametrize("name", [*relations.TASKS])
def test_a_relation_has_a_rival_that_says_the_opposite(name):
    one = relations.RelationConcept(name=name)
    assert one.showing(4, 0) == one.showing(4, 0) != one.showing(4, 1)
    for each in one.showing(20, 0):
        assert sorted(each.prompt.replace("an ", "a ").split()) == sorted(
            each.rivals[0].replace("an ", "a ").split()
        ) or (name == "position")
        assert each.rivals[0] != each.prompt
    assert {each.attribute for each in one.staying(8, 0)} == {*one.retain}
    red = Case("color_attribution", "an orange cube and a red cone", ({"color": "orange"}, {"color": "red"}))
    assert relations.rival(red) == "a red cube and an orange cone"
    left = Case("position", "a cube left of a cone", (), relation="left of")
    assert relations.rival(left) == "a cube right of a cone"
