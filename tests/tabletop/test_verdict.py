"""Typed prompts are read as captions are written, and what is said of a picture is what it shows."""

from dataclasses import replace

import numpy as np
import pytest

from maskunet.models import SPECS
from maskunet.records import Request, Run
from maskunet.runs import run_folder
from maskunet.runs.compare import compare
from maskunet.tabletop.reading import read
from maskunet.tabletop.render import render
from maskunet.tabletop.scenes import Thing
from maskunet.tabletop.tasks import TASKS, cases
from maskunet.tabletop.verdict import judge

SCENE = (Thing("cube", "red", x=-0.8, yaw=0.3), Thing("sphere", "blue", "striped", x=0.8))


@pytest.mark.parametrize("task", TASKS)
def test_every_prompt_of_the_tasks_is_read_as_its_case(task):
    for case in cases(task, 30):
        found = read(case.prompt)
        assert (found.things, found.count, found.relation) == (case.things, case.count, case.relation)


@pytest.mark.parametrize(
    ("prompt", "things", "count", "relation"),
    [
        ("A photo of a small striped red cube on a gray table.", 1, None, None),
        ("a cube is to the left of a blue cone", 2, None, "left of"),
        ("a red cube, a blue sphere and two cones", 4, None, None),
        ("there are three metal cones", 1, 3, None),
    ],
)
def test_other_wordings_of_captions_are_read_too(prompt, things, count, relation):
    found = read(prompt)
    assert (len(found.things), found.count, found.relation) == (things, count, relation)


@pytest.mark.parametrize(
    "prompt", ["a dog", "a red cube and a cat", "cubes", "a red", "two cones behind a cube", "", "猫"]
)
def test_of_what_no_caption_says_nothing_is_called_right_or_wrong(prompt):
    assert read(prompt) is None


def test_a_render_is_told_as_what_it_is():
    seen = render([SCENE])[0].permute(1, 2, 0).numpy()
    said = {prompt: judge(prompt, [seen, seen])[1] for prompt in (
        "a red cube and a blue sphere", "a blue cube and a red sphere", "a striped sphere and a cube",
        "a sphere left of a cube", "a dog",
    )}  # fmt: skip
    assert [each["right"] for each in said.values()] == [True, False, True, False, None]
    assert {"a red cube", "a blue sphere"} == {*said["a dog"]["saw"].split(", ")}
    assert "a striped blue sphere" in said["a striped sphere and a cube"]["saw"]
    assert said["a sphere left of a cube"]["saw"] == "a blue sphere right of a red cube"
    assert {each["spoiled"] for each in said.values()} == {""}
    assert judge("a cube", [np.full_like(seen, 128)])[0]["saw"] == "nothing"


def test_a_run_keeps_what_its_models_judge_says_and_others_have_none(library, tmp_path):
    model = library.load(library.default).model
    asked = Request(prompt="a red cube", model=model.name, method="random_mask", steps=1)
    said = {"right": False, "saw": "a dog", "spoiled": ""}
    for judged, found in ((None, {}), (lambda prompt, pictures: [said] * len(pictures), said)):
        *_, (_, run) = compare(replace(model, judge=judged), library.load(library.default).rewards, asked)
        kept = run_folder.read(run_folder.write(run, tmp_path / run.id))
        assert isinstance(kept, Run) and kept.base_verdict == kept.verdict == found


def test_the_embedded_models_are_judged_and_no_others():
    assert {name for name, spec in SPECS.items() if spec.judge} == {n for n, s in SPECS.items() if s.embedded}
