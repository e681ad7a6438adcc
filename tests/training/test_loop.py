"""The training loop on small models: it learns, it goes on where it was, and it leaves the base alone."""

import csv
import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from maskunet.records.disk import whole
from maskunet.records.training import TrainEvent
from maskunet.rewards.base import WeightedRewards
from maskunet.studio import training_process
from maskunet.training import checkpoint, loop, sheet
from maskunet.training.data import Feed, Folder, Pair
from maskunet.training.own_pictures import Worded
from maskunet.training.recipes import SPECS
from maskunet.training.recipes.base import Settings

pytestmark = pytest.mark.usefixtures("short_sheets")

ABOUT = {"data": "four"}


class Four:
    """Four pictures of one color each, as latents, with their captions."""

    def __len__(self):
        return 4

    def __call__(self, index, draw):
        color = np.linspace(-1, 1, 4)[index]
        return Pair(f"a {('red', 'blue', 'cube', 'cat')[index]}", latents=np.full((4, 8, 8), color, np.float32))


REWARDS = WeightedRewards(
    {
        "image_reward": (lambda image, prompts: 20 * (image[:, 0] - image[:, 1]).mean((1, 2)), 1.0),
        "hpsv2": (lambda image, prompts: 20 * image[:, 2].mean((1, 2)), 5.0),
    }
)
"""How red, and how blue, a picture is."""


def settings(spec, **changes):
    first = next(iter(spec.presets.values()))
    if hasattr(first, "variant"):
        first = replace(first, variant="light", rank=2, start=0.5)
    if spec.needs_rewards:
        first = replace(first, sampling_steps=4, **({"pictures": 3} if spec.prepare else {"first": 1, "samplings": 8}))
    if hasattr(first, "class_pictures"):
        first = replace(first, class_pictures=4, sampling_steps=2, ema=0.0)
    common = {
        "steps": 6,
        "batch": 4,
        "micro_batch": 4,
        "learning_rate": 3e-3,
        "every": 3,
        "warm_up": 0,
        "seed": 5,
    }
    return replace(first, **{**common, **changes})


def given(spec, pairs):
    """The pictures; for a recipe that learns a relation, with captions that have a place for it."""
    return Worded(pairs, lambda own, rng: f"{own} {{}} a cat") if spec.name == "reversion" else pairs


def run(model, spec, out, *, resume=False, about=ABOUT, pairs=None, **changes):
    chosen = settings(spec, **changes)
    told = loop.train(
        model, spec, chosen, given(spec, pairs or Four()), out, about=about, rewards=REWARDS, resume=resume
    )
    return [event for event in told if isinstance(event, TrainEvent)]


def losses(events):
    return [event.loss for event in events]


@pytest.fixture(params=SPECS.values(), ids=SPECS)
def spec(request):
    return request.param


def contents(model):
    return {name: value.clone() for name, value in model.unet.state_dict().items()}


def assert_untouched(model, before, layers):
    after = model.unet.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert [id(m) for m in model.unet.modules()] == layers
    assert not any(p.requires_grad for p in model.unet.parameters())
    assert not model.unet.training


def test_the_loss_falls_and_the_base_model_stays_what_it_was(spec, tiny_sd15, tmp_path):
    before, layers = contents(tiny_sd15), [id(m) for m in tiny_sd15.unet.modules()]
    # The same samples over and over: what is learned must show.
    events = run(tiny_sd15, spec, tmp_path, steps=24, every=24, learning_rate=1e-2, pairs=Same())
    assert np.mean(losses(events)[-8:]) < np.mean(losses(events)[:8])
    assert_untouched(tiny_sd15, before, layers)
    assert events[-1].final
    assert (tmp_path / checkpoint.PART).stat().st_size > 0
    assert events[-1].sheet.shape == (16, 64, 3)


class Same(Four):
    """One picture, so that the loss is less noisy."""

    def __len__(self):
        return 1


def test_a_stop_keeps_what_was_reached_and_the_base_model(spec, tiny_sd15, tmp_path):
    before, layers = contents(tiny_sd15), [id(m) for m in tiny_sd15.unet.modules()]
    chosen = settings(spec, every=100)
    events = loop.train(tiny_sd15, spec, chosen, given(spec, Four()), tmp_path, about=ABOUT, rewards=REWARDS)
    assert any(isinstance(event, TrainEvent) and event.step == 2 for event in events)
    events.close()
    assert_untouched(tiny_sd15, before, layers)
    state = torch.load(tmp_path / checkpoint.STATE, weights_only=True)
    assert state["step"] == 2


def test_a_resumed_training_has_the_curve_of_an_unbroken_one(spec, tiny_sd15, tmp_path):
    short = {"ema": 0.9, "steps": 4, "every": 2}
    whole = run(tiny_sd15, spec, tmp_path / "whole", **short)
    half = run(tiny_sd15, spec, tmp_path / "half", **short | {"steps": 2})
    rest = run(tiny_sd15, spec, tmp_path / "half", **short, resume=True)
    assert losses(half) + losses(rest) == losses(whole)
    parts = [torch.load(tmp_path / name / checkpoint.STATE, weights_only=True) for name in ("whole", "half")]
    for a, b in zip(parts[0]["trained"] + parts[0]["average"], parts[1]["trained"] + parts[1]["average"], strict=True):
        assert torch.equal(a, b)


def test_accumulated_gradients_are_those_of_the_whole_batch(spec, tiny_sd15, tmp_path):
    # Steering contrasts what is at once in memory, so it is another loss in parts.
    alone = {"steering": 0.0} if hasattr(settings(spec), "steering") else {}
    whole = run(tiny_sd15, spec, tmp_path / "a", steps=3, **alone)
    parts = run(tiny_sd15, spec, tmp_path / "b", steps=3, micro_batch=1, **alone)
    # A preference's loss multiplies a difference of errors by thousands, and so the rounding of another order of sums.
    assert losses(parts) == pytest.approx(losses(whole), rel=5e-3 if "preference" in spec.name else 1e-3)


def test_a_loss_that_is_no_number_stops_and_the_checkpoint_is_whole(tiny_sd15, tmp_path):
    class Broken(Four):
        def __call__(self, index, draw):
            pair = super().__call__(index, draw)
            return replace(pair, latents=pair.latents * np.nan) if draw >= 16 else pair

    spec, found = SPECS["full"], []
    with pytest.raises(
        ValueError, match="loss of step 5, or its gradient, is no number. The checkpoint of step 3 is whole"
    ):
        for event in loop.train(tiny_sd15, spec, settings(spec), Broken(), tmp_path, about=ABOUT):
            found.append(event)
    assert [event.step for event in found] == [1, 2, 3, 4]
    state = torch.load(tmp_path / checkpoint.STATE, weights_only=True)
    assert state["step"] == 3
    assert all(torch.isfinite(value).all() for value in state["trained"])


@pytest.mark.parametrize(
    ("changes", "about", "field"),
    [
        ({"learning_rate": 1e-4}, ABOUT, "learning_rate"),
        ({"seed": 6}, ABOUT, "seed"),
        ({}, {"data": "others"}, "data"),
    ],
)
def test_a_resumption_with_other_settings_is_refused_by_name(tiny_sd15, tmp_path, changes, about, field):
    run(tiny_sd15, SPECS["full"], tmp_path, steps=1)
    with pytest.raises(ValueError, match=f"another {field}"):
        run(tiny_sd15, SPECS["full"], tmp_path, resume=True, about=about, **changes)


def test_another_recipe_or_base_model_is_refused(tiny_sd15, tmp_path):
    run(tiny_sd15, SPECS["full"], tmp_path, steps=1)
    with pytest.raises(ValueError, match="another recipe: 'full', not 'lora'"):
        run(tiny_sd15, SPECS["lora"], tmp_path, resume=True)
    with pytest.raises(ValueError, match="another weights"):
        run(replace(tiny_sd15, weights={"unet/x": "1"}), SPECS["full"], tmp_path, resume=True)


def test_a_training_is_not_overwritten_and_none_is_not_resumed(tiny_sd15, tmp_path):
    run(tiny_sd15, SPECS["full"], tmp_path / "a", steps=1)
    with pytest.raises(ValueError, match="holds a training"):
        run(tiny_sd15, SPECS["full"], tmp_path / "a", steps=1)
    with pytest.raises(ValueError, match="no training to go on with"):
        run(tiny_sd15, SPECS["full"], tmp_path / "b", resume=True)


def test_a_full_disk_leaves_the_old_checkpoint_whole(tiny_sd15, tmp_path, monkeypatch):
    run(tiny_sd15, SPECS["full"], tmp_path, steps=3)

    def saved():
        return {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file() and p.suffix != ".csv"}

    before = saved()

    def full(state, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space"):
        patched.setattr(torch, "save", full)
        run(tiny_sd15, SPECS["full"], tmp_path, resume=True)
    assert saved() == before and not list(tmp_path.glob(f"{whole.PART}*"))
    (tmp_path / f"{whole.PART}killed").mkdir()
    assert run(tiny_sd15, SPECS["full"], tmp_path, resume=True)[-1].final
    assert not list(tmp_path.glob(f"{whole.PART}*"))


def test_bad_pictures_are_skipped_counted_and_replaced(tmp_path):
    from PIL import Image

    rows = []
    for number in range(4):
        Image.new("RGB", (20, 30), (60 * number, 0, 0)).save(tmp_path / f"{number}.png")
        rows.append({"file_name": f"{number}.png", "text": f"picture {number}"})
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:40])
    rows[2]["text"] = " "
    rows.append({"file_name": "../secret.png", "text": "outside"})
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    feed = Feed(Folder(tmp_path, 16), seed=0)
    found = [feed(number) for number in range(10)]
    assert {pair.caption for pair in found} == {"picture 0", "picture 3"}
    assert all(pair.image.shape == (16, 16, 3) for pair in found)
    assert set(feed.skipped) == {"damaged picture", "no caption", "no file name within the folder"}
    assert feed.examples["damaged picture"] == "1.png" and feed.examples["no caption"] == "2.png"


def test_pictures_may_be_links_and_names_may_not_lead_out_of_the_folder(tmp_path):
    from PIL import Image

    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "pictures"
    elsewhere.mkdir()
    (folder / "more").mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (16, 16), (80 * number, 0, 0)).save(elsewhere / f"{number}.png")
    (folder / "0.png").symlink_to(elsewhere / "0.png")
    (folder / "more" / "1.png").symlink_to(elsewhere / "1.png")
    (folder / "linked").symlink_to(elsewhere)
    inside = ["0.png", "more/1.png", "linked/2.png", str(folder / "0.png")]
    outside = [
        "../elsewhere/0.png",
        str(elsewhere / "0.png"),
        "more/../../elsewhere/0.png",
        "linked/../0.png",
        "",
        "..",
    ]
    rows = [json.dumps({"file_name": name, "text": name or "none"}) for name in (*inside, *outside)]
    (folder / "metadata.jsonl").write_text("\n".join(rows))
    pairs = Folder(folder, 16)
    assert [pairs(number, 0).image[0, 0, 0] for number in range(4)] == [0, 80, 160, 0]
    for number in range(4, len(pairs)):
        with pytest.raises(ValueError, match="^no file name within the folder$"):
            pairs(number, 0)


def test_each_epoch_shows_every_picture_once():
    feed = Feed(Four(), seed=3)
    epochs = [[feed(4 * epoch + place).caption for place in range(4)] for epoch in range(3)]
    assert all(len(set(epoch)) == 4 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_nothing_but_bad_pictures_is_an_error_with_reasons():
    class Bad(Four):
        def __call__(self, index, draw):
            raise ValueError("no caption")

    with pytest.raises(ValueError, match="4 times no caption|100 pictures"):
        Feed(Bad(), seed=0)(0)


class Many(Four):
    """Forty pictures, of which four are held out."""

    def __len__(self):
        return 40

    def __call__(self, index, draw):
        return super().__call__(index % 4, draw)


def test_the_same_tenth_is_held_out_of_every_training():
    feeds = [Feed(Many(), seed) for seed in (1, 2)]
    held = [set(feed._all[:4].tolist()) for feed in feeds]
    assert held[0] == held[1]
    assert len(feeds[0]) == 36
    for feed in feeds:
        assert len(feed.held_out()) == 4
        epoch = {int(i) for i in feed._epoch(0)}
        assert len(epoch) == 36
        assert not epoch & held[0]
    assert Feed(Four(), 1).held_out() == []  # too few to spare any


def test_the_loss_on_held_out_pictures_is_compared_with_the_base_models(tiny_sd15, tmp_path):
    spec = SPECS["full"]
    still = run(tiny_sd15, spec, tmp_path / "still", pairs=Many(), learning_rate=0.0, steps=3)
    assert still[-1].figures["held_out_loss_change"] == pytest.approx(0, abs=1e-4)
    moved = run(tiny_sd15, spec, tmp_path / "moved", pairs=Many(), learning_rate=1e-2, steps=30, every=30)
    figures = moved[-1].figures
    assert figures["held_out_loss_change"] + 2 * figures["held_out_error"] < 0  # one color each is soon learned


class WithBad(Many):
    """Of the forty pictures every third is damaged."""

    def __call__(self, index, draw):
        if index % 3 == 0:
            raise ValueError("damaged picture")
        return super().__call__(index, draw)


def test_what_was_left_out_before_a_resumption_still_counts(tiny_sd15, tmp_path):
    def skipped(name):
        with (tmp_path / name / checkpoint.LOG).open() as file:
            return [int(row["skipped"]) for row in csv.DictReader(file)]

    spec, how = SPECS["lora"], {"every": 2, "pairs": WithBad()}
    whole = run(tiny_sd15, spec, tmp_path / "whole", steps=4, **how)
    run(tiny_sd15, spec, tmp_path / "half", steps=2, **how)
    half = run(tiny_sd15, spec, tmp_path / "half", steps=4, resume=True, **how)
    assert skipped("half") == skipped("whole") and skipped("whole")[0] < skipped("whole")[-1]
    assert half[-1].skipped == whole[-1].skipped and half[-1].examples == whole[-1].examples
    state = torch.load(tmp_path / "half" / checkpoint.STATE, weights_only=True)
    older = {name: value for name, value in state.items() if name not in ("bad", "examples")}
    torch.save(older, tmp_path / "half" / checkpoint.STATE)
    assert run(tiny_sd15, spec, tmp_path / "half", steps=5, resume=True, **how)[-1].step == 5


def test_a_training_whose_minutes_are_over_is_saved_and_goes_on(tiny_sd15, tmp_path):
    spec = SPECS["lora"]
    pieces = loop.train(tiny_sd15, spec, settings(spec), Four(), tmp_path / "pieces", about=ABOUT, minutes=1e-9)
    (early,) = pieces
    assert (early.step, early.final, early.checkpoint) == (1, True, True)
    assert early.note == "The 1e-09 minutes were over at step 1 of 6."
    rest = run(tiny_sd15, spec, tmp_path / "pieces", resume=True)
    whole = run(tiny_sd15, spec, tmp_path / "whole")
    assert losses(rest) == losses(whole)[1:]


def test_minutes_that_are_over_do_not_change_which_part_is_kept(tiny_sd15, tmp_path, monkeypatch):
    spec, figures = SPECS["mask_generator"], iter([5.0, math.nan, 1.0, 2.0])  # at step 1, where it is cut, 2, 4 and 6
    monkeypatch.setattr(
        loop._Training, "_measure", lambda self: ({"figure": next(figures)}, np.zeros((2, 2, 3), np.uint8))
    )
    begun = loop._Training.__init__

    def chosen_by_a_figure(self, *given, **more):
        begun(self, *given, **more)
        self.objective = SimpleNamespace(best="figure", losses=self.objective.losses, timestep=self.objective.timestep,
                                         cycle=self.objective.cycle)  # fmt: skip

    monkeypatch.setattr(loop._Training, "__init__", chosen_by_a_figure)
    chosen = settings(spec, every=2)
    list(loop.train(tiny_sd15, spec, chosen, Four(), tmp_path, about=ABOUT, minutes=1e-9))
    run(tiny_sd15, spec, tmp_path, resume=True, every=2)
    assert json.loads((tmp_path / checkpoint.ABOUT).read_text())["kept"] == 6
    assert torch.load(tmp_path / checkpoint.STATE, weights_only=True)["best"] == 2.0


def test_a_folder_that_holds_something_else_is_refused(tiny_sd15, tmp_path):
    for name in (checkpoint.PART, checkpoint.LOG):
        place = tmp_path / name.partition(".")[0]
        place.mkdir()
        (place / name).write_text("of something else")
        with pytest.raises(ValueError, match="Give another folder"):
            run(tiny_sd15, SPECS["lora"], place)
        assert (place / name).read_text() == "of something else"


def test_another_text_encoder_is_noticed_and_trainings_of_before_go_on(tiny_sd15, tmp_path):
    spec = SPECS["lora"]
    run(tiny_sd15, spec, tmp_path, steps=2)
    other = replace(tiny_sd15, weights={**tiny_sd15.weights, "embedding/mug": "ab"})
    with pytest.raises(ValueError, match="another weights"):
        run(other, spec, tmp_path, steps=4, resume=True)
    about = json.loads((tmp_path / checkpoint.ABOUT).read_text())
    about["weights"] = {name: digest for name, digest in about["weights"].items() if name.startswith("unet/")}
    (tmp_path / checkpoint.ABOUT).write_text(json.dumps(about))
    assert len(run(other, spec, tmp_path, steps=4, resume=True)) == 2


def test_a_cosine_is_not_resumed_with_another_length(tiny_sd15, tmp_path):
    spec = SPECS["lora"]
    run(tiny_sd15, spec, tmp_path, course="cosine")
    with pytest.raises(ValueError, match="steps"):
        run(tiny_sd15, spec, tmp_path, course="cosine", resume=True, steps=9)


def test_the_log_goes_on_at_the_checkpoint_after_a_crash(tiny_sd15, tmp_path):
    spec = SPECS["lora"]
    run(tiny_sd15, spec, tmp_path, steps=4)
    with (tmp_path / checkpoint.LOG).open("a") as file:
        file.write("5,0.1,0.1,1.0,0,{}\n6,0.1,0.")  # of steps that no checkpoint has
    run(tiny_sd15, spec, tmp_path, resume=True)
    lines = (tmp_path / checkpoint.LOG).read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["step", *map(str, range(1, 7))]


def test_tensorboard_finds_the_curves(tiny_sd15, tmp_path):
    run(tiny_sd15, SPECS["lora"], tmp_path)
    (log,) = (tmp_path / "tensorboard").rglob("events.out.tfevents.*")
    content = log.read_bytes()
    assert content.count(b"loss") >= 6
    assert content.count(b"learning_rate") >= 6


def test_a_sheet_takes_the_steps_that_a_few_step_model_is_made_for(tiny_sd15, monkeypatch):
    monkeypatch.undo()  # the short sheets
    seen = []

    def predictor(x_t, t, text, draws):
        seen.append(int(t[0]))
        return torch.zeros_like(x_t)

    for steps in (2, 50):
        sheet.draw(replace(tiny_sd15, steps=steps), predictor, ["a cube"])
    assert len(seen) == 2 + sheet.STEPS


class Noted(Four):
    """As the source of a folder gives them."""

    notes = ()


@pytest.mark.parametrize("name", ["full", "dreambooth"])
def test_the_lab_shows_the_base_model_and_the_training_on_the_same_prompts(tiny_sd15, tmp_path, monkeypatch, name):
    asked, spec = [], SPECS[name]
    loaded = SimpleNamespace(load_to_train=lambda *given: (tiny_sd15, None))
    monkeypatch.setattr("maskunet.library.library.Library", lambda *given, **more: loaded)
    monkeypatch.setattr("maskunet.training.sources.find", lambda *given, **more: (Noted(), {}))
    monkeypatch.setattr(loop, "SHOWN", 3)
    drawn = sheet.draw
    monkeypatch.setattr(sheet, "draw", lambda *given: asked.append(given[2]) or drawn(*given))
    chosen = settings(spec, steps=1)
    base, *_ = training_process.work(training_process.Place(), "tiny", spec, chosen, tmp_path / "out", lambda: False)
    expected = loop.shown(spec, chosen, Feed(Four(), chosen.seed))
    assert len(expected) == (3 if spec.shown is None else 4)
    assert asked == [expected, expected] and base.captions == tuple(expected)


def test_the_learning_rates_course():
    warm = Settings(warm_up=4, course="cosine")
    course = [loop._course(step, 8, warm) for step in range(8)]
    assert course[0] == pytest.approx(1 / 4)
    assert course[7] == pytest.approx(0.5 * (1 + math.cos(math.pi * 7 / 8)))
    assert [loop._course(step, 8, Settings()) for step in (0, 7)] == [1, 1]
