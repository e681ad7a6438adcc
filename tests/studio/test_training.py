"""Trainings for a page: what is refused, what is told and kept, and the curve that is drawn of them."""

import csv
import json
import math
import multiprocessing
import zipfile
from dataclasses import fields, replace

import numpy as np
import pytest

import app
from maskunet.library.library import Library
from maskunet.masks.generator import VARIANTS
from maskunet.records.training import BaseSamples, Preparing, TrainEvent, TrainRequest, TrainState
from maskunet.studio.training import TrainStudio
from maskunet.studio.training_process import Place, work
from maskunet.training import sheet
from maskunet.training.recipes import SPECS
from tests.support.tiny import tiny_tabletop
from visualize.training_curve import SPEC

FEW = {"steps": 3, "batch": 2, "every": 2}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Of a small model that is trained in place of tabletop's."""
    return Place(model="tabletop", weights=tiny_tabletop(tmp_path_factory.mktemp("model") / "tiny"), device="cpu")


@pytest.fixture
def studio(place, tmp_path):
    """A studio without any training yet; what it started is ended afterwards."""
    made = TrainStudio(place, tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def trained(place, tmp_path_factory):
    """A studio whose training of three steps is over, its folder, and every state that was told."""
    folder = tmp_path_factory.mktemp("trained")
    made = TrainStudio(place, folder)
    made.start(TrainRequest(recipe="mask_generator", name="first", settings=FEW))
    return made, folder / "tabletop" / "first", list(made.follow())


def event(step, loss, steps=4, **more):
    return TrainEvent(step=step, steps=steps, loss=loss, learning_rate=1e-3, seconds=1.0, seconds_left=0.0, **more)


# What can be asked


def test_recipes_come_with_their_short_presets_and_all_settings_in_the_ranges_of_a_page(studio):
    masks, lora, full, *from_rewards = studio.recipes()
    preferred = ["mask_preference", "lora_preference", "mask_best_of"]
    own = ["dreambooth", "dreambooth_lora", "dreambooth_masks", "dreambooth_masks_word"]
    own += ["inversion", "inversion_masks", "reversion"]
    assert [card.name for card in from_rewards] == ["mask_reward", "lora_reward", *preferred, *own]
    assert [card.name for card in (masks, lora, full)] == ["mask_generator", "lora", "full"]
    assert [list(card.presets) for card in (masks, lora, full)] == [["tabletop"]] * 3
    wanted = SPECS["mask_generator"].presets["tabletop"]
    drawn = {card.name: card for card in masks.presets["tabletop"]}
    assert {name: card.default for name, card in drawn.items()} == {
        each.name: getattr(wanted, each.name) for each in fields(wanted) if each.name != "epochs"
    }
    assert (drawn["steps"].low, drawn["steps"].high, drawn["batch"].high) == (1, 5000, 256)
    assert drawn["variant"].choices == VARIANTS
    others = {card.name for card in lora.presets["tabletop"]}
    assert others - set(drawn) == {"alpha"} and "variant" in set(drawn) - others


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "a/b"}, "The name “a/b” cannot be used"),
        ({"name": "../x"}, "cannot be used"),
        ({"name": ""}, "The name “” cannot be used"),
        ({"name": "a" * 41}, "cannot be used"),
        ({"name": "light"}, "There is a training “light” already"),  # came with the model
        ({"recipe": "dreams"}, "There is no recipe “dreams”"),
        ({"model": "sd15"}, "“sd15” cannot be trained here. These can: tabletop, tabletop_web."),
        ({"model": "../x"}, "cannot be trained here"),
        ({"preset": "paper"}, "has no preset “paper”"),
        ({"settings": {"steps": 0}}, "The setting steps is 0; allowed is 1 to 5000. Longer trainings go by"),
        ({"settings": {"steps": 5001}}, "The setting steps is 5001; allowed is 1 to 5000"),
        ({"settings": {"steps": 2.5}}, "The setting steps must be a whole number, not 2.5"),
        ({"settings": {"batch": 257}}, "The setting batch is 257; allowed is 1 to 256"),
        ({"settings": {"learning_rate": math.nan}}, "The setting learning_rate must be a number, not nan"),
        ({"settings": {"variant": "dead"}}, "The setting variant is 'dead'"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_any_work(studio, changes, told):
    with pytest.raises(ValueError, match=told):
        studio.start(TrainRequest(**{"recipe": "mask_generator", "name": "good", **changes}))
    assert not multiprocessing.active_children() and list(studio.follow()) == []


def test_without_a_training_there_is_nothing_to_stop_or_to_download(studio):
    for act in (studio.stop, studio.archive, studio.log):
        with pytest.raises(ValueError, match=r"No training is running|Nothing of this training is kept"):
            act()


@pytest.mark.parametrize(
    ("more", "space", "offered"),
    [
        ((), None, True),
        (("--share", "--auth", "a:password"), None, False),
        (("--host", "0.0.0.0", "--open"), None, False),
        ((), "someone/lab", False),
    ],
)
def test_only_a_page_of_ones_own_trains(monkeypatch, tmp_path, more, space, offered):
    monkeypatch.delenv("SPACE_ID", raising=False)
    if space:
        monkeypatch.setenv("SPACE_ID", space)
    told = {}

    def studio(*given, **options):
        told.update(options)
        raise InterruptedError  # before anything is loaded or served

    monkeypatch.setattr("maskunet.studio.studio.Studio", studio)
    with pytest.raises(InterruptedError):
        app.launch(app.arguments(["--runs", str(tmp_path), *more]))
    assert told["trains"] is offered


# A training


def test_a_training_is_told_step_by_step_with_its_checkpoints(trained):
    _, out, states = trained
    assert states[0].phase == "loading" and states[-1].phase == "done" and states[-1].over
    last = states[-1]
    assert [one.step for one in last.events] == [1, 2, 3]
    assert list(last.sheets) == [2, 3] and last.saved == 3 and not last.message
    height, width, _ = last.base.sheet.shape
    assert width == 4 * height == 4 * 128 and len(last.base.captions) == 4
    assert all(sheet.shape == last.base.sheet.shape for sheet in last.sheets.values())
    logged = list(csv.DictReader((out / "log.csv").open()))
    assert [float(row["loss"]) for row in logged] == [one.loss for one in last.events]
    assert json.loads(logged[1]["figures"]) == dict(last.events[1].figures)
    assert {"removed", "distance_time", "distance_sample"} <= set(last.events[1].figures)


def test_its_files_can_be_downloaded_and_its_name_is_taken(trained):
    studio, out, states = trained
    with zipfile.ZipFile(studio.archive()) as archive:
        assert archive.namelist() == ["trained.safetensors", "training.json", "training_curve.svg"]
        assert archive.read("trained.safetensors") == (out / "trained.safetensors").read_bytes()
        settings = json.loads(archive.read("training.json"))["settings"]
        assert {key: settings[key] for key in FEW} == FEW
    assert studio.log() == out / "log.csv"
    with pytest.raises(ValueError, match="There is a training “first” already"):
        studio.start(states[-1].request)


def test_a_mask_generator_is_chosen_by_its_name_at_once(trained):
    studio, out, _ = trained
    *shipped, own = studio.trained("maskunet_trained", "tabletop")
    assert own == "first" and "light" in shipped
    assert studio.trained("fine_tuned", "tabletop") == []
    assert studio.trained("plain", "tabletop") == studio.trained("maskunet_trained", "sd15") == []
    library = Library("tabletop", device="cpu", trained=out.parents[1])
    assert library.load("tabletop").model.trained["generator"]["first"] == out / "trained.safetensors"


def test_the_base_samples_are_those_of_a_training_that_changes_nothing(tmp_path, monkeypatch):
    """Of tabletop itself."""
    monkeypatch.setattr(sheet, "STEPS", 3)
    spec = SPECS["lora"]
    settings = replace(spec.presets["tabletop"], steps=1, batch=1, learning_rate=0.0)
    base, step = list(work(Place(device="cpu"), "tabletop", spec, settings, tmp_path / "still", lambda: False))
    assert isinstance(base, BaseSamples) and base.held_out == 64
    assert step.final and np.array_equal(base.sheet, step.sheet)


def test_another_base_is_trained_and_what_it_learned_is_offered_for_it_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("maskunet.training.sheet.STEPS", 1)
    spec, made = SPECS["lora"], TrainStudio(Place(device="cpu"), tmp_path)
    settings = replace(spec.presets["tabletop"], steps=1, batch=1)
    *_, last = work(
        Place(device="cpu"), "tabletop_web", spec, settings, tmp_path / "tabletop_web" / "mine", lambda: False
    )
    assert last.final and list(made.bases()) == ["tabletop", "tabletop_web"]
    about = json.loads((tmp_path / "tabletop_web" / "mine" / "training.json").read_text())
    assert about["model"] == "tabletop_web"
    assert made.trained("fine_tuned", "tabletop_web") == ["mine"] and made.trained("fine_tuned", "tabletop") == []


def test_stopping_keeps_what_was_reached_and_only_one_trains_at_a_time(studio, tmp_path):
    request = TrainRequest(recipe="mask_generator", name="long", settings={"steps": 5000, "batch": 1})
    studio.start(request)
    with pytest.raises(ValueError, match="The training “long” is running. Stop it"):
        studio.start(TrainRequest(recipe="lora", name="other"))
    stopped = False
    for state in studio.follow():
        if state.events and not stopped:
            studio.stop()
            stopped = True
    assert state.phase == "stopped" and 1 <= state.saved == state.events[-1].step < 5000
    assert list(state.sheets) == [state.saved]
    assert (tmp_path / "tabletop" / "long" / "trained.safetensors").is_file()
    assert [one.step for one in state.events] == list(range(1, state.saved + 1))


def test_before_its_first_step_a_training_ends_at_once_and_leaves_its_name_free(studio):
    request = TrainRequest(recipe="full", name="short", settings=FEW)
    for _ in range(2):
        studio.start(request)
        studio.close()
        (state,) = studio.follow()
        assert (state.phase, state.saved, state.message) == ("stopped", 0, "")
        assert not multiprocessing.active_children()


def test_a_process_that_dies_is_told_in_a_sentence(studio):
    studio.start(TrainRequest(recipe="lora", name="dies", settings=FEW))
    (child,) = multiprocessing.active_children()
    child.kill()
    *_, state = studio.follow()
    assert state.phase == "failed" and state.message.startswith("The training ended before it was done")


def test_what_goes_wrong_inside_is_told_in_its_own_sentence(tmp_path):
    studio = TrainStudio(Place(device="cpu", weights=tmp_path), tmp_path)
    (tmp_path / "tabletop").mkdir()
    studio.start(TrainRequest(recipe="lora", name="none", settings=FEW))
    *_, state = studio.follow()
    assert state.phase == "failed" and "holds no Stable Diffusion model" in state.message


# The curve


def test_the_running_mean_and_its_interval_are_those_of_the_last_steps():
    rows = SPEC.table([event(1, 1.0), event(2, 3.0), event(3, 5.0), event(4, 3.0)], window=2)
    assert [row["loss_mean"] for row in rows] == [1.0, 2.0, 4.0, 4.0]
    assert [row["n"] for row in rows] == [1, 2, 2, 2] and rows[0]["loss_mean_low"] is None
    # Two values 2 apart: standard deviation sqrt(2), standard error 1.
    assert rows[1]["loss_mean_high"] - 2.0 == pytest.approx(1.96) == 2.0 - rows[1]["loss_mean_low"]


def test_figures_stand_at_checkpoints_with_the_held_out_interval():
    measured = event(2, 1.0, figures={"held_out_loss_change": -1.0, "held_out_error": 0.5, "removed": 0.1})
    before, at = SPEC.table([event(1, 1.0), measured])
    assert before["removed"] is None and at["removed"] == 0.1
    assert (at["held_out_loss_change_low"], at["held_out_loss_change_high"]) == (-1.98, pytest.approx(-0.02))


def test_only_what_a_recipe_measures_is_drawn():
    masks = {"removed": 0.1, "expected": 0.2, "distance_time": 0.3, "distance_sample": 0.4}
    held_out = {"held_out_loss_change": -1.0, "held_out_error": 0.5}
    labels = [
        [panel.get_ylabel().split(",")[0] for panel in SPEC.draw([event(1, 1.0, figures=figures)]).axes]
        for figures in ({}, held_out, held_out | masks, {"unseen_right": 0.75})
    ]
    assert labels[0] == ["loss", "learning rate"]
    assert labels[1] == ["loss", "held-out loss", "learning rate"]
    assert labels[2] == ["loss", "held-out loss", "removed", "masks differ", "learning rate"]
    assert labels[3] == ["loss", "unseen pairs", "learning rate"]
    figure = SPEC.draw([event(1, 1.0, figures=masks), event(2, 1.0)])
    assert figure.axes[1].lines[0].get_ydata()[0] == pytest.approx(10)  # percent
    with pytest.raises(ValueError, match="has done no step yet"):
        SPEC.draw([])


def test_pictures_that_are_made_first_are_told_and_may_be_stopped(tmp_path, monkeypatch):
    news = Preparing(done=0, total=2)
    monkeypatch.setattr("maskunet.training.loop.train", lambda *given, **more: (each for each in (news, news)))
    monkeypatch.setattr("maskunet.training.sheet.STEPS", 1)
    spec = SPECS["mask_generator"]
    samples, *told = work(
        Place(device="cpu"), "tabletop", spec, spec.presets["tabletop"], tmp_path / "mine", lambda: True
    )
    assert isinstance(samples, BaseSamples) and told == [news]


def test_a_page_hears_of_pictures_before_the_first_step(studio):
    studio._state = TrainState(request=TrainRequest(recipe="mask_preference", name="mine"))
    studio._hear(Preparing(done=1, total=2))
    assert (studio._state.phase, studio._state.prepared.done) == ("preparing", 1)
    studio._hear(event(1, 0.5))
    assert studio._state.phase == "training"
