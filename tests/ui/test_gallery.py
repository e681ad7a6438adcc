"""The precomputed runs are whole, and the page begins with the one that its controls ask for."""

from dataclasses import replace
from types import SimpleNamespace

from maskunet.experiments.tabletop import gallery as made_runs
from maskunet.experiments.tabletop.gallery import ERASED
from maskunet.library.library import Library
from maskunet.models import SPECS
from maskunet.studio.studio import Studio
from maskunet.studio.work import DeviceWork
from maskunet.ui import gallery, story_words
from maskunet.ui.html.story import story
from maskunet.ui.page import build


def test_every_folder_is_a_run_and_is_found_by_its_id():
    runs = gallery.load()
    assert len(runs) == len([path for path in gallery.FOLDER.iterdir() if path.is_dir()])
    for run_id in runs:
        assert gallery.load(gallery.folder(run_id).parent)[run_id].request == runs[run_id].request


def test_the_first_is_of_the_prompt_seed_model_and_method_that_the_page_begins_with(tmp_path, monkeypatch):
    monkeypatch.setattr(DeviceWork, "warm_up", lambda work: None)  # no model is needed to draw the page
    studio = Studio(tmp_path, device="cpu")
    parts = build(studio).config["components"]
    studio.close()

    def value(label):
        return next(p["props"]["value"] for p in parts if p["props"].get("label") == label)

    first = next(iter(gallery.load().values())).request
    given = tuple(map(value, ("Prompt", "Seed", "Base model", "Method", "Preset")))
    assert given == (first.prompt, str(first.seed), first.model, first.method, first.preset)
    assert (value("Steps"), value("Guidance scale")) == (0, 0)  # the model's own, as this run's
    assert first.steps == SPECS[first.model].steps
    assert first.guidance == SPECS[first.model].guidance
    assert Library().default != first.model  # the figures in the documents are of the clean base, as commands are


def test_the_tour_takes_away_a_concept_that_a_rule_chose():
    runs = gallery.load()
    (run,) = [each for each in runs.values() if each.request.method == "held_mask"]
    assert run.request.settings == {"mask": ERASED} and "Chosen by rule" in run.note
    assert run.base_verdict["right"] and "red" in run.base_verdict["saw"].split()
    assert "red" not in run.verdict["saw"].split()
    told = story(runs, {})
    assert (
        story_words.CONCEPT in told
        and story_words.concept("red") in told
        and run.request.prompt in told
        and told.count('class="slide"') == 5
    )


def test_the_tours_random_mask_is_the_control_of_the_pair_that_the_page_opens_with():
    first, *rest = gallery.load().values()
    (control,) = [
        each for each in rest if each.request.model == first.request.model and each.request.method == "random_mask"
    ]
    same = {"method": "random_mask", "preset": "start", "settings": control.request.settings}
    assert control.request == replace(first.request, **same)
    assert abs(control.keep_ratio - first.keep_ratio) < 0.001
    removed = f"{100 * (1 - control.keep_ratio):.1f} % of the weights removed"
    assert f"{story_words.RANDOM_SAID} “{first.request.prompt}”, {removed}" in story(
        {r.id: r for r in (first, *rest)}, {}
    )


def test_the_rule_takes_the_first_prompt_that_the_checker_finds_right_and_then_without_the_concept(monkeypatch):
    judged = iter([(False, "a red cube"), (True, "a red cube, a cone"), (True, "a cube"), (True, "a cone")])
    asked = []

    def made(loaded, request):
        asked.append(request.prompt)
        right, saw = next(judged, (True, "a red cone"))
        return SimpleNamespace(base_verdict={"right": right}, verdict={"saw": saw})

    monkeypatch.setattr(made_runs, "_made", made)
    loaded = SimpleNamespace(model=SimpleNamespace(name="tabletop"))
    kind, request, note = made_runs.erased(loaded)
    assert len(asked) == made_runs.PER_TASK and all("red" in prompt.split() for prompt in asked)
    assert (kind, request.prompt, request.previews) == ("erased", asked[2], True)
    assert f"of {made_runs.PER_TASK - 1} held-out prompts" in note and "2 lost their red" in note
