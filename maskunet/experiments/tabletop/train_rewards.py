"""Train the two tabletop rewards on true captions against hard negatives.

They differ in architecture and in what they learn from, so that one can hold out the other: the
ImageReward-format matcher reads image and text together, the HPSv2-format towers only meet in a
cosine. Both also name what stands where from their patch states, through a head that is thrown away;
without it neither learns to bind colors to shapes in reasonable time. And both learn quality: under its true
caption a picture must score above itself spoiled.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskunet.encoders.pixels import normalized
from maskunet.encoders.reading import read_checkpoint
from maskunet.experiments.tabletop.fit import fit, mixed_precision
from maskunet.experiments.tabletop.train_checker import jitter
from maskunet.rewards.base import Reward
from maskunet.tabletop import data
from maskunet.tabletop.captions import caption, negatives
from maskunet.tabletop.checker import GROUPS
from maskunet.tabletop.render import project, render
from maskunet.tabletop.scenes import RELATIONS, SHAPES, Scene, Thing, holds, mirrored
from maskunet.tabletop.spoiling import PICTURES, spoiled

BATCH, NEGATIVES = 32, 3
HELD_OUT_SHARD = 9_001
LEARNING_RATE, LEARNING_RATE_ONWARDS = 1e-3, 3e-4  # from nothing, and from a trained reward

Score = Callable[[Tensor, list[str]], tuple[Tensor, Tensor]]
"""Images (B, 3, 128, 128) in [0, 1] and B * K captions, image by image, to scores (B, K) and states
(B, 1 + P, W): the picture's own, then the patches' in raster order."""


class Namer(nn.Module):
    """Reads from each patch whether a thing is centered there, what and where it is, how it stands to others,
    and from the picture's own state which shapes stand how.

    Used in training only. Without places and relations neither reward learns what "left of" means: half of
    the pictures are mirrored, so nothing else asks for the difference.
    """

    def __init__(self, width: int):
        super().__init__()
        names = [len(names) for names in GROUPS.values()]
        self.parts = [1, *names, len(RELATIONS), 2]
        self.head = nn.Linear(width, sum(self.parts))
        self.whole = nn.Linear(width, len(SHAPES) * len(RELATIONS))

    def forward(self, states: Tensor, scenes: list[Scene]) -> Tensor:
        """The naming loss of states (B, 1 + P, W), a scalar."""
        states = states.float()
        return self._whole(states[:, 0], scenes) + self._patches(states[:, 1:], scenes)

    def _whole(self, states: Tensor, scenes: list[Scene]) -> Tensor:
        wanted = torch.zeros(len(scenes), len(SHAPES), len(RELATIONS))
        for b, scene in enumerate(scenes):
            for thing in scene:
                wanted[b, SHAPES.index(thing.shape)] += torch.tensor(_stands(thing, scene))
        return F.binary_cross_entropy_with_logits(self.whole(states), wanted.clamp(max=1).flatten(1))

    def _patches(self, patches: Tensor, scenes: list[Scene]) -> Tensor:
        side = int(patches.shape[1] ** 0.5)
        maps = self.head(patches).unflatten(1, (side, side))
        there = torch.zeros(maps.shape[:3])
        where, things, relations, places = [], [], [], []
        for b, scene in enumerate(scenes):
            relations += [_stands(thing, scene) for thing in scene]
            at = project([(t.x, t.y, t.radius * 0.8) for t in scene]).clamp(0, 0.999) * side
            places.append(at / side)
            for thing, (u, v) in zip(scene, at.long().tolist(), strict=True):
                there[b, v, u] = 1
                where.append((b, v, u))
                things.append(thing)
        b, v, u = torch.tensor(where).unbind(1)
        _, *named, relation, place = maps[b, v, u].split(self.parts, -1)
        loss = F.binary_cross_entropy_with_logits(maps[..., 0], there)
        loss = loss + F.binary_cross_entropy_with_logits(relation, torch.tensor(relations))
        loss = loss + 2 * F.l1_loss(place, torch.cat(places))
        for logits, (group, names) in zip(named, GROUPS.items(), strict=True):
            wanted = torch.tensor([names.index(getattr(t, group)) for t in things])
            loss = loss + 0.3 * F.cross_entropy(logits, wanted)
        return loss


def _stands(thing: Thing, scene: Scene) -> list[float]:
    """For each relation 1 if the thing stands so to another one of the scene, else 0."""
    others = [other for other in scene if other is not thing]
    return [float(any(holds(relation, thing, other) for other in others)) for relation in RELATIONS]


class Examples:
    """Draws scenes with pictures and the same spoiled; half are x0 predictions of the model, once those exist."""

    def __init__(self, scenes: Path, shards: int, predictions: Path | None, seed: int):
        self.scenes, self.images = data.load(scenes, 0, shards)
        self.predictions = np.load(predictions, mmap_mode="r") if predictions else None
        self.seed = seed

    def __call__(self, generator: torch.Generator) -> tuple[Tensor, Tensor, list[Scene], list[list[str]]]:
        """Pictures (B, 3, 128, 128) in [0, 1], the same spoiled, their scenes, and 1 + NEGATIVES captions each."""
        rng = np.random.default_rng((self.seed, int(torch.randint(1 << 40, (1,), generator=generator))))
        pictures, drawn = [], []
        for _ in range(BATCH):
            flip, predicted = rng.random() < 0.5, self.predictions is not None and rng.random() < 0.5
            i = int(rng.integers(len(self.predictions) if predicted else len(self.scenes)))
            picture = self.predictions[i] if predicted else self.images[i // data.SHARD][i % data.SHARD]
            pictures.append(picture[:, :, ::-1] if flip else picture)
            drawn.append(mirrored(self.scenes[i]) if flip else self.scenes[i])
        texts = [(true, *false) for true, false in (negatives(scene, rng, NEGATIVES) for scene in drawn)]
        kinds = rng.choice(list(PICTURES), BATCH)
        worse = [spoiled(x, scene, rng, kind) for x, scene, kind in zip(pictures, drawn, kinds, strict=True)]
        both = (torch.from_numpy(np.stack(each).astype(np.float32)) / 255 for each in (pictures, worse))
        pixels, worse = (jitter(each, generator) for each in both)
        return pixels, worse, drawn, [list(t) for t in texts]


def train(
    module: nn.Module,
    score: Score,
    width: int,
    examples: Examples,
    folder: Path,
    *,
    minutes: float,
    onwards: bool,
    save: Callable[[nn.Module], None],
    in_batch: bool,
) -> None:
    """Train one reward for some minutes.

    Args:
        module: the network, `score` how it scores, `width` of its states.
        folder: receives the checkpoint and the log. save: writes the averaged network.
        onwards: whether the network was trained before.
        in_batch: also tell each picture's caption from the other pictures' captions (two towers
            get that for one product; a cross-attending network would pay for every pair).
    """
    both = nn.ModuleDict({"network": module, "namer": Namer(width)})
    pixels, questions = held_out()
    pairs = held_out_looks()

    def alone(network: nn.Module, images: Tensor, texts: list[str]) -> Tensor:
        """The score of each picture under its own caption, (B,)."""
        scores, _ = score(network, images, texts)
        return scores.diagonal() if in_batch else scores[:, 0]

    def loss(generator: torch.Generator) -> dict[str, Tensor]:
        images, worse, scenes, texts = examples(generator)
        with mixed_precision():
            scores, states = score(module, images, [t for row in texts for t in row])
            below = alone(module, worse, [row[0] for row in texts]).float()
        losses = {"name": both["namer"](states, scenes)}
        wanted = torch.zeros(len(scores), dtype=torch.long)
        if in_batch:  # scores are (B, B * K): every caption of the batch against every picture
            own = torch.arange(BATCH)[:, None] * (1 + NEGATIVES) + torch.arange(1 + NEGATIVES)
            losses["batch"] = 0.3 * F.cross_entropy(scores[:, own[:, 0]].float(), torch.arange(BATCH))
            scores = scores.gather(1, own)
        losses["match"] = F.cross_entropy(scores.float(), wanted)
        losses["looks"] = F.softplus(below - scores[:, 0].float()).mean()  # Bradley and Terry 1952
        return losses

    def report(ema: nn.Module) -> dict[str, float]:
        save(ema["network"])
        right = accuracy(lambda i, t: score(ema["network"], i, t)[0], pixels, questions, in_batch)
        return {"held_out": right, **looks_accuracy(lambda i, t: alone(ema["network"], i, t), pairs)}

    rate = LEARNING_RATE_ONWARDS if onwards else LEARNING_RATE
    fit(both, loss, folder, minutes=minutes, learning_rate=rate, on_checkpoint=report)


def held_out(count: int = 500) -> tuple[Tensor, list[tuple[str, str]]]:
    """Fresh renders (N, 3, 128, 128) in [0, 1], each with its true caption and one hard negative."""
    scenes = data.training_scenes(HELD_OUT_SHARD)[:count]
    return render(scenes).float() / 255, questions_about(scenes, seed=11)


def questions_about(scenes: Sequence[Scene], seed: int = 12) -> list[tuple[str, str]]:
    """A true caption of each scene, and one hard negative."""
    rng = np.random.default_rng(seed)
    return [(true, false[0]) for true, false in (negatives(scene, rng, 1) for scene in scenes)]


def told_apart(reward: Reward, images: Tensor, questions: list[tuple[str, str]]) -> float:
    """How often a finished reward scores the true caption higher than the hard negative, in [0, 1]."""
    return accuracy(lambda x, texts: torch.stack([reward(x, texts[i::2]) for i in (0, 1)], 1), images, questions)


@torch.no_grad()
def accuracy(score: Callable, images: Tensor, questions: list[tuple[str, str]], in_batch: bool = False) -> float:
    """How often the true caption scores higher than the hard negative, in [0, 1]."""
    right = 0
    for start in range(0, len(images), 50):
        part = questions[start : start + 50]
        scores = score(images[start : start + 50], [text for pair in part for text in pair])
        if in_batch:
            scores = scores.gather(1, torch.arange(len(part))[:, None] * 2 + torch.arange(2))
        right += int((scores[:, 0] > scores[:, 1]).sum())
    return right / len(images)


def held_out_looks(count: int = 50) -> dict[str, tuple[Tensor, Tensor, list[str]]]:
    """Fresh renders (N, 3, 128, 128) in [0, 1], the same spoiled in one way, and true captions; by kind."""
    scenes = data.training_scenes(HELD_OUT_SHARD)[-count:]
    plain, rng = render(scenes), np.random.default_rng(12)
    texts = [caption(scene, rng) for scene in scenes]
    worse = {
        kind: np.stack([spoiled(x, scene, rng, kind) for x, scene in zip(plain.numpy(), scenes, strict=True)])
        for kind in PICTURES
    }
    return {kind: (plain.float() / 255, torch.from_numpy(x).float() / 255, texts) for kind, x in worse.items()}


@torch.no_grad()
def looks_accuracy(score: Callable, pairs: dict[str, tuple[Tensor, Tensor, list[str]]]) -> dict[str, float]:
    """By kind, how often a picture scores higher than itself spoiled, under its true caption, in [0, 1]."""
    return {
        kind: float((score(plain, texts) > score(worse, texts)).float().mean())
        for kind, (plain, worse, texts) in pairs.items()
    }


IMAGE_REWARD = {
    "image_size": 128, "patch_size": 16, "vision_width": 128, "vision_layers": 4, "vision_heads": 4,
    "text_width": 128, "text_layers": 3, "text_heads": 4, "text_intermediate": 512,
    "max_positions": 64, "head_widths": (128, 64, 32, 16), "max_length": 35,
}  # fmt: skip
HPSV2 = {
    "embed_dim": 160,
    "vision_cfg": {"image_size": 128, "patch_size": 16, "width": 160, "head_width": 32, "layers": 5},
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 56, "heads": 2, "layers": 3},
}


def vocabulary() -> list[str]:
    """The matcher's WordPiece vocabulary: the captions' words, and letters for everything else."""
    rng = np.random.default_rng(5)
    words = {w for scene in data.training_scenes(0) for w in re.findall(r"[a-z]+|,", caption(scene, rng))}
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,!?'-:;()\"&"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return [*special, *sorted(words | set(letters)), *(f"##{c}" for c in letters)]


def train_image_reward(folder: Path, *, minutes: float, shards: int) -> None:
    """Train the ImageReward-format matcher and write rewards/image_reward."""
    from maskunet.encoders.blip import ImageRewardNetwork
    from maskunet.rewards import image_reward

    onwards = _began(folder, "image_reward")
    words = (onwards.parent / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1] if onwards else vocabulary()
    config = {**IMAGE_REWARD, "vocabulary": len(words)}
    network = ImageRewardNetwork(config)
    (folder / "words").mkdir(parents=True, exist_ok=True)
    (folder / "words" / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    tokenizer = image_reward.make_tokenizer(folder / "words", len(words))
    if onwards:
        network.load_state_dict(image_reward.from_published(read_checkpoint(onwards)))

    def score(module: nn.Module, images: Tensor, texts: list[str]) -> tuple[Tensor, Tensor]:
        states = module.patches(normalized(images, 128))
        tokens = tokenizer(texts, padding=True, truncation=True, max_length=35, return_tensors="pt")
        each = len(texts) // len(images)
        found = module.match(states.repeat_interleave(each, 0), tokens.input_ids, tokens.attention_mask)
        return found.view(len(images), each), states

    pixels, questions = held_out()

    def save(ema: nn.Module) -> None:
        # As published, scores are standard normal: here over fresh renders with a true and a false caption.
        with torch.no_grad():
            raw = torch.cat(
                [
                    score(ema, pixels[i : i + 50], [text for pair in questions[i : i + 50] for text in pair])[0]
                    for i in range(0, len(pixels), 50)
                ]
            )
        scaled = {**config, "mean": float(raw.mean()), "std": float(raw.std())}
        image_reward.save(folder / "rewards", ema, scaled, words)

    train(
        network, score, config["vision_width"], Examples(folder / "scenes", shards, _predictions(folder), 1),
        folder / "image_reward_state", minutes=minutes, onwards=bool(onwards), in_batch=False,
        save=save,
    )  # fmt: skip


def train_hpsv2(folder: Path, *, minutes: float, shards: int) -> None:
    """Train the HPSv2-format towers and write rewards/hpsv2."""
    from maskunet.encoders import clip
    from maskunet.rewards import hpsv2

    network = clip.build(HPSV2, plain_attention=True)
    network.visual.output_tokens = True
    tokenizer = clip.tokenizer(HPSV2["text_cfg"]["context_length"])
    if onwards := _began(folder, "hpsv2"):
        network.load_state_dict(read_checkpoint(onwards))

    def score(module: nn.Module, images: Tensor, texts: list[str]) -> tuple[Tensor, Tensor]:
        pooled, patches = module.visual(normalized(images, 128))
        told = F.normalize(module.encode_text(tokenizer(texts)).float(), dim=-1)
        cosine = F.normalize(pooled.float(), dim=-1) @ told.mT
        return cosine * module.logit_scale.exp(), torch.cat((pooled[:, None], patches), 1)

    train(
        network, score, HPSV2["vision_cfg"]["width"], Examples(folder / "scenes", shards, _predictions(folder), 2),
        folder / "hpsv2_state", minutes=minutes, onwards=bool(onwards), in_batch=True,
        save=lambda ema: hpsv2.save(folder / "rewards", ema, HPSV2),
    )  # fmt: skip


def _predictions(folder: Path) -> Path | None:
    path = folder / "predictions.npy"
    return path if path.exists() else None


def _began(folder: Path, name: str) -> Path | None:
    """The weights of the reward that the training goes on from, which `restore_rewards` left in began/."""
    path = folder / "began" / name / "model.safetensors"
    return path if path.exists() else None
