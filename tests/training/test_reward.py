"""Learning from a reward: whose states are judged, what is learned, and which checkpoint is kept."""

import json
from contextlib import closing
from dataclasses import replace

import pytest
import torch

from maskunet.diffusion import classifier_free, dpmpp_2m_step
from maskunet.masks import generator_file
from maskunet.records.disk import trained_file
from maskunet.rewards.base import WeightedRewards
from maskunet.training import checkpoint, loop, reward
from maskunet.training.data import Pair
from maskunet.training.objective import Batch
from maskunet.training.recipes import SPECS
from tests.support.tiny_benchmarks import write_clip
from tests.training.test_loop import ABOUT, REWARDS, Many, losses, run, settings

pytestmark = pytest.mark.usefixtures("short_sheets")

SPEC = SPECS["mask_reward"]


def batch(model, numbers, draws):
    noise = torch.cat([model.noise(number) for number in numbers])
    captions = [f"a {('red', 'blue')[number % 2]} cube" for number in numbers]
    return Batch(
        model=model, numbers=numbers, pairs=[Pair(c) for c in captions], captions=captions, noise=noise,
        t=torch.zeros(len(numbers)), draws=draws,
    )  # fmt: skip


def test_a_state_is_the_base_models_own_at_the_step_that_the_draw_names(tiny_sd15):
    sampling = reward.Sampling(tiny_sd15, settings(SPEC))  # steps 1 to 3 of 4
    x_t, steps = sampling.cut_short(batch(tiny_sd15, [0, 1, 0], [0, 1, 5]))
    assert steps == [1, 2, 3]
    for got, number, step in zip(x_t, (0, 1, 0), steps, strict=True):
        own, history = tiny_sd15.noise(number), None
        text = tiny_sd15.encode(f"a {('red', 'blue')[number]} cube")
        for t, t_prev in tiny_sd15.schedule.linspace_pairs(4)[:step]:
            with torch.no_grad():
                output = tiny_sd15.unet(torch.cat((own, own)), t, text.states).sample
            x0, _ = tiny_sd15.schedule.x0_eps(classifier_free(output, tiny_sd15.guidance), own, t)
            own, history = dpmpp_2m_step(tiny_sd15.schedule, own, x0, history, t, t_prev)
        torch.testing.assert_close(got, own[0], atol=1e-4, rtol=1e-4)


def test_a_sampling_is_made_once_and_used_at_other_steps(tiny_sd15, monkeypatch):
    sampling, made = reward.Sampling(tiny_sd15, settings(SPEC)), []
    whole = reward.Sampling._latents
    monkeypatch.setattr(reward.Sampling, "_latents", lambda *args: made.append(len(args[2])) or whole(*args))
    for draws in ([0, 1], [1, 2]):
        sampling.cut_short(batch(tiny_sd15, [0, 1], draws))
    assert made == [2]


@pytest.mark.parametrize("name", ["mask_reward", "lora_reward"])
def test_what_is_put_on_the_model_later_does_not_reach_the_states(tiny_sd15, name):
    spec = SPECS[name]
    sampling, given = reward.Sampling(tiny_sd15, settings(spec)), batch(tiny_sd15, [0], [2])
    before, _ = reward.Sampling(tiny_sd15, settings(spec)).cut_short(given)
    with spec.build(tiny_sd15, settings(spec)) as recipe:
        for parameter in filter(lambda p: p.requires_grad, recipe.module.parameters()):
            parameter.data.add_(1.0)  # far from a start that changes nothing
        if name == "mask_reward":  # the last masks stay on the layers
            recipe.module(tiny_sd15.noise(0), torch.tensor([5]), tiny_sd15.encode_prompts(["x"]), [])
        assert torch.equal(sampling.cut_short(given)[0], before)


def test_the_loss_is_the_negative_reward_of_the_predicted_picture(tiny_sd15):
    chosen = settings(SPEC, views=1)
    sampling, given = reward.Sampling(tiny_sd15, chosen), batch(tiny_sd15, [0, 1], [0, 1])
    found = reward._losses(sampling, REWARDS, sampling.base, given)
    x_t, steps = sampling.cut_short(given)
    for i, step in enumerate(steps):
        t = sampling.pairs[step][0]
        one = x_t[i : i + 1]
        output = tiny_sd15.unet(torch.cat((one, one)), t, tiny_sd15.encode(given.captions[i]).states).sample
        x0, _ = tiny_sd15.schedule.x0_eps(classifier_free(output, tiny_sd15.guidance), one, t)
        scores = REWARDS(tiny_sd15.decode(x0), [given.captions[i]])
        assert float(found[i]) == pytest.approx(-float(scores["image_reward"]), abs=1e-3)


def test_the_optimized_reward_rises_on_pictures_that_were_not_trained_on(tiny_sd15, tmp_path):
    events = run(tiny_sd15, SPEC, tmp_path, steps=40, every=40, learning_rate=2e-2, pairs=Many())
    figures = events[-1].figures
    assert figures["image_reward_change"] > 2 * figures["image_reward_error"] > 0
    assert figures["removed"] > 0


def test_the_part_that_is_kept_is_the_one_the_held_out_reward_likes_best(tiny_sd15, tmp_path):
    events = run(tiny_sd15, SPEC, tmp_path, steps=12, every=3, learning_rate=2e-2, pairs=Many(), keep_each=True)
    changes = {event.step: event.figures["hpsv2_change"] for event in events if event.checkpoint}
    best = max(changes, key=changes.get)
    parts = dict(checkpoint.parts(tmp_path))
    assert set(parts) == {3, 6, 9, 12}
    assert (tmp_path / checkpoint.PART).read_bytes() == parts[best].read_bytes()
    assert torch.load(tmp_path / checkpoint.STATE, weights_only=True)["best"] == changes[best]
    assert json.loads((tmp_path / checkpoint.ABOUT).read_text())["kept"] == best  # whose figures its card shows


def test_a_resumed_training_still_knows_the_best(tiny_sd15, tmp_path):
    shared = {"every": 3, "learning_rate": 2e-2, "pairs": Many()}
    whole = run(tiny_sd15, SPEC, tmp_path / "whole", steps=12, **shared)
    half = run(tiny_sd15, SPEC, tmp_path / "half", steps=6, **shared)
    rest = run(tiny_sd15, SPEC, tmp_path / "half", steps=12, resume=True, **shared)
    assert losses(half) + losses(rest) == losses(whole)
    kept = [(tmp_path / name / checkpoint.PART).read_bytes() for name in ("whole", "half")]
    assert kept[0] == kept[1]
    kept = [json.loads((tmp_path / name / checkpoint.ABOUT).read_text())["kept"] for name in ("whole", "half")]
    assert kept[0] == kept[1] > 0


def test_a_stop_between_checkpoints_does_not_change_which_part_is_kept(tiny_sd15, tmp_path):
    shared = {"every": 6, "learning_rate": 2e-2, "pairs": Many()}
    run(tiny_sd15, SPEC, tmp_path / "whole", steps=12, **shared)
    chosen = settings(SPEC, steps=12, every=6, learning_rate=2e-2)
    events = loop.train(tiny_sd15, SPEC, chosen, Many(), tmp_path / "parts", about=ABOUT, rewards=REWARDS)
    with pytest.MonkeyPatch.context() as patched, closing(events):
        for event in events:
            if event.step == 9:  # what the exam says there is better than all before
                patched.setattr(loop._Training, "_measure", lambda self: ({"hpsv2_change": 99.0}, None))
                patched.setattr(loop.sheet, "save", lambda picture, path: None)
                break
    assert json.loads((tmp_path / "parts" / checkpoint.ABOUT).read_text())["kept"] == 6
    run(tiny_sd15, SPEC, tmp_path / "parts", steps=12, resume=True, **shared)
    kept = [(tmp_path / name / checkpoint.PART).read_bytes() for name in ("whole", "parts")]
    assert kept[0] == kept[1]


def test_the_file_says_what_it_learned_from(tiny_sd15, tmp_path):
    run(tiny_sd15, SPEC, tmp_path / "reward", steps=1)
    run(tiny_sd15, SPECS["mask_generator"], tmp_path / "pictures", steps=1)
    said = {n: generator_file.about(tmp_path / n / checkpoint.PART)["learns_from"] for n in ("reward", "pictures")}
    assert said == {"reward": "image_reward", "pictures": "pictures"}
    run(tiny_sd15, SPECS["lora_reward"], tmp_path / "lora", steps=1)
    known = trained_file.about(tmp_path / "lora" / checkpoint.PART, "maskunet-unet-1", "LoRA")
    assert known["learns_from"] == "image_reward"


def test_without_rewards_or_steps_it_is_refused(tiny_sd15, tmp_path):
    with pytest.raises(ValueError, match="learns from a reward"):
        list(loop.train(tiny_sd15, SPEC, settings(SPEC), Many(), tmp_path, about=ABOUT))
    with pytest.raises(ValueError, match="with 4 sampling steps, 0 to 3 are allowed"):
        run(tiny_sd15, SPEC, tmp_path, first=4)


def test_any_reward_is_optimized_and_any_other_one_is_held_out(tiny_sd15, tmp_path):
    third = {**REWARDS.parts, "third": (lambda image, prompts: image.mean((1, 2, 3)), 0.0)}
    chosen = settings(SPEC, reward="hpsv2", held_out="image_reward", steps=1, every=1)
    learning = reward.objective(tiny_sd15, chosen, [Many()(0, 0)], WeightedRewards(third))
    assert learning.best == "image_reward_change"
    first = reward.objective(tiny_sd15, replace(chosen, held_out=None), [Many()(0, 0)], WeightedRewards(third))
    assert first.best == "image_reward_change"
    figures = first.exam(reward.Sampling(tiny_sd15, chosen).base)
    assert {"image_reward_change", "hpsv2_change", "third_change"} <= set(figures)
    with pytest.raises(ValueError, match="“hpsv2” is optimized, so another one must be held out. There are: image_re"):
        reward.objective(tiny_sd15, replace(chosen, held_out="hpsv2"), [], REWARDS)
    with pytest.raises(ValueError, match="no reward “hpsv2” for this model. There are: image_reward"):
        reward.objective(tiny_sd15, chosen, [], REWARDS.only("image_reward"))


def test_a_judge_that_nothing_optimizes_can_be_held_out(tiny_sd15, tmp_path, monkeypatch):
    write_clip(tmp_path / "pickscore")
    monkeypatch.setattr("maskunet.rewards.rewards_place", lambda: tmp_path)
    chosen = settings(SPEC, reward="hpsv2", held_out="pickscore", steps=1, every=1)
    learning = reward.objective(tiny_sd15, chosen, [Many()(0, 0)], REWARDS)
    assert learning.best == "pickscore_change"
    assert learning.exam(reward.Sampling(tiny_sd15, chosen).base)["pickscore_change"] == 0
    with pytest.raises(ValueError, match="CLIP-H is not on this machine .*download clip_h"):
        reward.objective(tiny_sd15, replace(chosen, held_out="clip_h"), [], REWARDS)


def test_a_training_of_before_there_was_a_choice_is_gone_on_with(tiny_sd15, tmp_path):
    run(tiny_sd15, SPEC, tmp_path, steps=1)
    about = json.loads((tmp_path / checkpoint.ABOUT).read_text())
    del about["settings"]["held_out"]
    (tmp_path / checkpoint.ABOUT).write_text(json.dumps(about))
    assert run(tiny_sd15, SPEC, tmp_path, steps=2, resume=True)[-1].step == 2


def test_one_reward_alone_does_not_run_the_others():
    def never(image, prompts):
        raise AssertionError

    rewards = WeightedRewards({"image_reward": (lambda i, p: i.mean((1, 2, 3)), 2.0), "hpsv2": (never, 1.0)})
    found = rewards.only("image_reward")(torch.ones(1, 3, 2, 2), ["x"])
    assert {name: float(value) for name, value in found.items()} == {"image_reward": 1.0, "total": 2.0}
    with pytest.raises(ValueError, match="no reward “clip”"):
        rewards.only("clip")


def test_settings_of_both_recipes_are_checked_alike():
    assert replace(SPEC.presets["tabletop"], reward="hpsv2").learns_from == "hpsv2"
    assert {"variant", "reward", "samplings", "learning_rate"} <= set(SPEC.presets["tabletop"].__dataclass_fields__)
