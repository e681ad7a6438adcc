"""Learning from ranked pictures: how they are made, kept and ranked, what is learned, and when it stops."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from maskunet.plugins import chosen
from maskunet.records.training import Preparing
from maskunet.rewards.base import WeightedRewards
from maskunet.training import checkpoint, loop, preference, ranked, shelves
from maskunet.training.data import Feed, Pair
from maskunet.training.exam import Exam
from maskunet.training.objective import Batch
from maskunet.training.recipes import SPECS
from maskunet.training.sampling import GuidedSampling, twin
from tests.training.test_loop import ABOUT, REWARDS, Four, run, settings

MASKS, LORA, BEST = (SPECS[name] for name in ("mask_preference", "lora_preference", "mask_best_of"))


class Thirty(Four):
    """Thirty pictures with captions of their own."""

    def __len__(self):
        return 30

    def __call__(self, index, draw):
        return replace(super().__call__(index % 4, draw), caption=f"cube {index}")


def batch(model, count=3, seed=0):
    """Pairs of random pictures, each under noise and a timestep of its own."""
    stream = torch.Generator().manual_seed(seed)
    better, worse, noise = (torch.randn((count, *model.latent_shape), generator=stream) for _ in range(3))
    pairs = [Pair("a red cube", latents=b.numpy(), worse=w.numpy()) for b, w in zip(better, worse, strict=True)]
    return Batch(
        model=model, numbers=[*range(count)], pairs=pairs, captions=["a red cube", "a blue cube", ""][:count],
        noise=noise, t=torch.tensor([20, 500, 990])[:count], draws=[*range(count)],
    )  # fmt: skip


def prepared(model, place, *, rewards=REWARDS, pairs=None, spec=MASKS, **changes):
    """What `prepare` tells, without the last note."""
    wanted = settings(spec, **{"sampling_steps": 2, "pictures": 3} | changes)
    return ranked.prepare(model, wanted, Feed(pairs or Four(), 0), rewards, place)


def made(events):
    """What a generator returns at its end."""
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def files(place):
    return {path.relative_to(place): path.read_bytes() for path in place.rglob("*.safetensors")}


# The loss


def test_the_loss_is_that_of_the_paper_sample_by_sample(tiny_sd15):
    wanted = settings(LORA, beta=2.0, anchor=0.5)
    reference, given = twin(tiny_sd15.unet), batch(tiny_sd15)
    with LORA.build(tiny_sd15, wanted) as recipe:
        for parameter in filter(lambda p: p.requires_grad, recipe.module.parameters()):
            torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            found = preference.losses(tiny_sd15, reference, wanted, recipe.module, given)
            for i, pair in enumerate(given.pairs):
                a = float(tiny_sd15.schedule.alphas_cumprod[given.t[i]])
                text, error = tiny_sd15.encode_prompts([given.captions[i]]), {}
                for name, latents in (("w", pair.latents), ("l", pair.worse)):
                    x_t = a**0.5 * torch.from_numpy(latents) + (1 - a) ** 0.5 * given.noise[i]
                    for who, network in (("trained", recipe.module), ("base", reference)):
                        eps = network(x_t[None], given.t[i : i + 1], text, [])[0]
                        error[name, who] = float((given.noise[i] - eps).double().square().mean())
                gain = {name: error[name, "trained"] - error[name, "base"] for name in "wl"}
                loss = np.log1p(np.exp(2.0 * (gain["w"] - gain["l"]))) + 0.5 * 2.0 / 2 * gain["w"]
                assert abs(gain["w"] - gain["l"]) > 1e-3
                assert float(found[i]) == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize("why", ["no beta", "equal pictures", "nothing learned"])
def test_the_loss_is_log_2_where_nothing_can_be_told(tiny_sd15, why):
    given = batch(tiny_sd15)
    if why == "equal pictures":
        pairs = [replace(pair, worse=pair.latents) for pair in given.pairs]
        given = replace(given, pairs=pairs)
    reference = twin(tiny_sd15.unet)
    wanted = settings(LORA, anchor=0.0, beta=1e-12 if why == "no beta" else 5000.0)
    with torch.no_grad():
        moved = reference if why == "nothing learned" else lambda *x: 1.1 * reference(*x)
        found = preference.losses(tiny_sd15, reference, wanted, moved, given)
    assert found.tolist() == pytest.approx([np.log(2)] * 3, abs=1e-6)


def test_the_gradient_reaches_the_masks_and_nothing_else(tiny_sd15):
    wanted, reference, given = settings(MASKS), twin(tiny_sd15.unet), batch(tiny_sd15)
    before = {name: value.clone() for name, value in tiny_sd15.unet.state_dict().items()}
    with MASKS.build(tiny_sd15, replace(wanted, variant="static")) as recipe:
        preference.losses(tiny_sd15, reference, wanted, recipe.module.train(), given).sum().backward()
        gradients = [p.grad for p in recipe.module.parameters() if p.requires_grad]
        assert gradients and all(each is not None and each.abs().max() > 0 for each in gradients)
        assert all(p.grad is None for p in tiny_sd15.unet.parameters())
    assert all(torch.equal(value, before[name]) for name, value in tiny_sd15.unet.state_dict().items())


def test_the_anchor_keeps_the_better_pictures_error_down(tiny_sd15, tmp_path):
    changes = {"steps": 8, "every": 8, "learning_rate": 1e-2, "beta": 200.0, "pairs": Thirty()}
    free = run(tiny_sd15, LORA, tmp_path / "free", anchor=0.0, **changes)[-1].figures
    held = run(tiny_sd15, LORA, tmp_path / "held", anchor=20.0, **changes)[-1].figures
    assert held["better_change"] < min(0, free["better_change"])


# The pictures


def test_pictures_that_a_kill_interrupted_are_the_same_in_the_end(tiny_sd15, tmp_path, monkeypatch):
    monkeypatch.setattr(shelves, "SHELF", 2)
    told = list(prepared(tiny_sd15, tmp_path / "whole"))
    assert [(each.done, each.total) for each in told] == [(0, 4), (2, 4), (4, 4)]
    half = prepared(tiny_sd15, tmp_path / "half")
    next(half), next(half)
    half.close()
    assert len(files(tmp_path / "half")) == 1
    rest = list(prepared(tiny_sd15, tmp_path / "half"))
    assert [each.done for each in rest] == [2, 4]
    assert files(tmp_path / "half") == files(tmp_path / "whole") and len(files(tmp_path / "half")) == 2


def test_pictures_serve_every_recipe_and_are_made_anew_for_others(tiny_sd15, tmp_path, monkeypatch):
    count = []
    shelf = ranked._shelf
    monkeypatch.setattr(ranked, "_shelf", lambda *given: count.append(1) or shelf(*given))
    for spec in (MASKS, LORA, BEST):
        run(tiny_sd15, spec, tmp_path / spec.name, steps=1)
    run(tiny_sd15, BEST, tmp_path / "by-another", steps=1, reward="hpsv2")
    assert len(count) == 1
    other = WeightedRewards({**REWARDS.parts, "hpsv2": (lambda image, prompts: image.mean((1, 2, 3)), 1.0)})
    list(prepared(tiny_sd15, tmp_path / loop.SHARED, rewards=other))
    for change in ({"pictures": 2}, {"guidance": 2.0}, {"sampling_steps": 3}, {"seed": 6}):
        list(prepared(tiny_sd15, tmp_path / loop.SHARED, **change))
    schedule = tiny_sd15.schedule
    for change in ({"prediction_type": "v_prediction"}, {"alphas_cumprod": schedule.alphas_cumprod**2}):
        list(prepared(replace(tiny_sd15, schedule=replace(schedule, **change)), tmp_path / loop.SHARED))
    assert len(count) == 8


class Constant:
    """A reward from a file, which ranks by the same score whatever the file is."""

    def __init__(self, digest, more=0.0):
        self.sha256, self.more = digest, more

    def __call__(self, image, prompts):
        return image[:, 0].mean((1, 2)) + self.more


def test_rewards_of_other_files_make_the_pictures_anew_whatever_they_say_of_noise(tiny_sd15, tmp_path):
    def folders(reward):
        list(prepared(tiny_sd15, tmp_path, rewards=WeightedRewards({"image_reward": (reward, 1.0)})))
        return {path.name for path in tmp_path.iterdir()}

    first = folders(Constant("one"))
    assert folders(Constant("one", more=0.01)) == first  # as another device rounds it
    assert len(folders(Constant("other"))) == 2


def test_the_pictures_are_the_base_models_plain_ones_and_the_best_is_best(tiny_sd15, tmp_path):
    found = made(prepared(tiny_sd15, tmp_path, seed=5))
    from maskunet import seeds
    from maskunet.diffusion import trajectory

    for index in (0, 3):
        prompt, scores = found.captions[index], []
        text, number = tiny_sd15.encode(prompt), [Feed(Four(), 0)(n).caption for n in range(4)].index(prompt)
        for image in range(3):
            noise = tiny_sd15.noise(seeds.of_prompt(5, number, image))
            with torch.no_grad():
                steps = trajectory(
                    tiny_sd15.schedule, tiny_sd15.schedule.linspace_pairs(2), noise,
                    lambda x_t, t, text=text: tiny_sd15.predict_x0(x_t, t, text, tiny_sd15.guidance),
                )  # fmt: skip
                *_, x0 = steps
                scores.append((float(REWARDS(tiny_sd15.decode(x0), [prompt])["image_reward"]), x0[0].numpy()))
        pair = found(index, 0)
        assert pair.latents == pytest.approx(max(scores, key=lambda one: one[0])[1], rel=2e-3, abs=1e-2)
        assert pair.worse == pytest.approx(min(scores, key=lambda one: one[0])[1], rel=2e-3, abs=1e-2)


def test_all_rewards_must_agree_on_a_pair():
    a = torch.tensor([[1.0, 2, 3], [1, 2, 3], [1, 1, 1], [1, 2, torch.nan]])
    b = torch.tensor([[1.0, 2, 3], [3, 2, 1], [1, 2, 3], [1, 2, 3]])
    first, last, differ = ranked.order({"a": a, "b": b})
    assert differ.tolist() == [True, False, False, False]
    assert (int(first[0]), int(last[0])) == (2, 0)
    first, last, differ = ranked.order({"a": a})
    assert differ.tolist() == [True, True, False, False] and first.tolist()[:2] == [2, 2]


def test_what_rewards_do_not_agree_on_is_left_out_and_told(tiny_sd15, tmp_path):
    against = WeightedRewards(
        {
            "image_reward": (lambda image, prompts: image.mean((1, 2, 3)), 1.0),
            "hpsv2": (
                lambda image, p: image.mean((1, 2, 3)) * torch.tensor([1.0 - 2 * (x == "a cat") for x in p]),
                1.0,
            ),
        }
    )
    told = list(prepared(tiny_sd15, tmp_path, rewards=against, reward="all"))
    assert told[-1].note.startswith("1 of 4 prompts are left out: no picture of theirs that all rewards put above")
    assert "a cat" not in made(prepared(tiny_sd15, tmp_path, rewards=against, reward="all")).captions


def test_what_cannot_be_ranked_is_refused(tiny_sd15, tmp_path):
    gray = WeightedRewards({name: (lambda image, p: torch.ones(len(p)), 1.0) for name in ("image_reward", "hpsv2")})
    with pytest.raises(ValueError, match="No prompt of 4 has a picture that image_reward puts above another"):
        list(prepared(tiny_sd15, tmp_path, rewards=gray))
    with pytest.raises(ValueError, match="The setting pictures is 1; allowed is 2 to 64"):
        chosen(MASKS.presets, MASKS.name, overrides={"pictures": 1})
    with pytest.raises(ValueError, match="pictures is 1; a best and a worst picture take at least 2"):
        next(prepared(tiny_sd15, tmp_path, spec=LORA, pictures=1))
    with pytest.raises(ValueError, match="There is no reward “hpsv2”. There are: image_reward"):
        next(prepared(tiny_sd15, tmp_path, rewards=REWARDS.only("image_reward"), reward="hpsv2"))
    with pytest.raises(ValueError, match="reward is all, and only image_reward is loaded"):
        next(prepared(tiny_sd15, tmp_path, rewards=REWARDS.only("image_reward"), reward="all"))
    for none in (None, WeightedRewards({})):
        with pytest.raises(ValueError, match="ranks pictures by a reward, and none is loaded"):
            next(prepared(tiny_sd15, tmp_path, rewards=none))


def test_damaged_pictures_are_told(tiny_sd15, tmp_path):
    list(prepared(tiny_sd15, tmp_path / "x"))
    (path,) = (tmp_path / "x").rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=f"The pictures in “x/{path.parent.name}” are damaged. Delete that folder"):
        list(prepared(tiny_sd15, tmp_path / "x"))


def test_a_training_that_may_not_begin_makes_no_pictures(tiny_sd15, tmp_path):
    run(tiny_sd15, SPECS["full"], tmp_path / "out", steps=1)
    for resume, why in ((False, "holds a training"), (True, "another recipe")):
        told = loop.train(
            tiny_sd15, MASKS, settings(MASKS), Four(), tmp_path / "out", about=ABOUT, rewards=REWARDS, resume=resume
        )
        with pytest.raises(ValueError, match=why):
            next(told)
    assert not (tmp_path / loop.SHARED).exists()


def test_a_training_tells_its_pictures_first(tiny_sd15, tmp_path):
    told = loop.train(tiny_sd15, MASKS, settings(MASKS, steps=1), Four(), tmp_path / "a", about=ABOUT, rewards=REWARDS)
    kinds = [isinstance(event, Preparing) for event in told]
    assert kinds == [True, True, False]


# The exam


def test_the_order_of_unseen_pairs(tiny_sd15):
    base, pairs = twin(tiny_sd15.unet), [*batch(tiny_sd15).pairs, *batch(tiny_sd15, seed=1).pairs]
    unseen = preference.Unseen(tiny_sd15, base, pairs)
    times = sorted(int(t) for each in unseen._batches for t in each.t)
    assert len(times) == 6 * preference.TIMES and max(np.diff(times)) <= 1000 / len(times) + 1

    def spoiling(better, worse):
        def predict(x_t, t, text, draws):
            out = base(x_t, t, text, draws)
            one, other = out.chunk(2)
            return torch.cat((one + better, other + worse))

        return predict

    still = unseen.order(base)
    assert (still["unseen_right"], still["better_change"], still["worse_change"]) == (0.5, 0.0, 0.0)
    found = unseen.order(spoiling(0.0, 9.0))
    assert found["unseen_right"] == 1.0 and found["worse_change"] > 0 == found["better_change"]
    assert unseen.order(spoiling(9.0, 0.0))["unseen_right"] == 0.0
    assert preference.Unseen(tiny_sd15, base, []).order(base) == {}


def test_the_part_that_is_kept_is_the_one_that_orders_unseen_pairs_best(tiny_sd15, tmp_path):
    events = run(
        tiny_sd15, MASKS, tmp_path, steps=5, every=1, learning_rate=3e-2, keep_each=True, pairs=Thirty(), pictures=2
    )
    right = {event.step: event.figures["unseen_right"] for event in events}
    best = max(right, key=right.get)  # the first of those that are equal
    assert best < max(right) and len(set(right.values())) > 1, right
    assert {"image_reward_change", "hpsv2_change", "unseen_error"} <= set(events[-1].figures)
    assert (tmp_path / checkpoint.PART).read_bytes() == dict(checkpoint.parts(tmp_path))[best].read_bytes()


def test_the_exam_asks_other_judges_too(tiny_sd15):
    sampling = GuidedSampling(tiny_sd15, 2)
    seen = []

    def judge(image, which):
        seen.extend(which)
        return (image.mean((1, 2, 3)) > 0).float() * torch.tensor([float(i % 2) for i in which])

    exam = Exam(sampling, REWARDS, [f"cube {i}" for i in range(18)], {"correct": judge})
    assert seen == [*range(18)]
    assert exam.change(sampling.base)["correct_change"] == 0
    assert exam.change(lambda *given: 0 * sampling.base(*given))["image_reward_error"] > 0


def test_the_checker_judges_tasks_of_the_training_split():
    from maskunet.tabletop.tasks import TASKS
    from maskunet.training.tabletop import EACH, Correct

    correct = Correct(torch.device("cpu"))
    assert len(correct.prompts) == EACH * len(TASKS)
    assert not any(case.held_out for case in correct._cases)
    assert correct(torch.full((2, 3, 128, 128), 0.5), range(3, 5)).tolist() == [0, 0]
