"""Train the two tabletop rewards on true captions against hard negatives.

They differ in architecture and in what they learn from, so that one can hold out the other: the
ImageReward-format matcher reads image and text together, the HPSv2-format towers only meet in a
cosine. Both also name what stands where from their patch states, through a head that is thrown away;
without it neither learns to bind colors to shapes in reasonable time.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskunet.encoders.pixels import normalized
from maskunet.experiments.tabletop.fit import fit, mixed_precision
from maskunet.experiments.tabletop.train_checker import jitter
from maskunet.tabletop import data
from maskunet.tabletop.captions import caption, negatives
from maskunet.tabletop.checker import GROUPS
from maskunet.tabletop.render import project, render
from maskunet.tabletop.scenes import RELATIONS, SHAPES, Scene, Thing, holds, mirrored

BATCH, NEGATIVES = 32, 3
HELD_OUT_SHARD = 9_001

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
    """Draws scenes with pictures; half of them x0 predictions of the model, once those exist."""

    def __init__(self, scenes: Path, shards: int, predictions: Path | None, seed: int):
        self.scenes, self.images = data.load(scenes, 0, shards)
        self.predictions = np.load(predictions, mmap_mode="r") if predictions else None
        self.seed = seed

    def __call__(self, generator: torch.Generator) -> tuple[Tensor, list[Scene], list[list[str]]]:
        """Pictures (B, 3, 128, 128) in [0, 1], their scenes, and 1 + NEGATIVES captions each."""
        rng = np.random.default_rng((self.seed, int(torch.randint(1 << 40, (1,), generator=generator))))
        pictures, drawn = [], []
        for _ in range(BATCH):
            flip, predicted = rng.random() < 0.5, self.predictions is not None and rng.random() < 0.5
            i = int(rng.integers(len(self.predictions) if predicted else len(self.scenes)))
            picture = self.predictions[i] if predicted else self.images[i // data.SHARD][i % data.SHARD]
            pictures.append(picture[:, :, ::-1] if flip else picture)
            drawn.append(mirrored(self.scenes[i]) if flip else self.scenes[i])
        texts = [(true, *false) for true, false in (negatives(scene, rng, NEGATIVES) for scene in drawn)]
        pixels = torch.from_numpy(np.stack(pictures).astype(np.float32)) / 255
        return jitter(pixels, generator), drawn, [list(t) for t in texts]


def train(
    module: nn.Module,
    score: Score,
    width: int,
    examples: Examples,
    folder: Path,
    *,
    minutes: float,
    learning_rate: float,
    save: Callable[[nn.Module], None],
    in_batch: bool,
) -> None:
    """Train one reward for some minutes.

    Args:
        module: the network, `score` how it scores, `width` of its states.
        folder: receives the checkpoint and the log. save: writes the averaged network.
        in_batch: also tell each picture's caption from the other pictures' captions (two towers
            get that for one product; a cross-attending network would pay for every pair).
    """
    both = nn.ModuleDict({"network": module, "namer": Namer(width)})
    pixels, questions = held_out()

    def loss(generator: torch.Generator) -> dict[str, Tensor]:
        images, scenes, texts = examples(generator)
        with mixed_precision():
            scores, states = score(module, images, [t for row in texts for t in row])
        losses = {"name": both["namer"](states, scenes)}
        wanted = torch.zeros(len(scores), dtype=torch.long)
        if in_batch:  # scores are (B, B * K): every caption of the batch against every picture
            own = torch.arange(BATCH)[:, None] * (1 + NEGATIVES) + torch.arange(1 + NEGATIVES)
            losses["batch"] = 0.3 * F.cross_entropy(scores[:, own[:, 0]].float(), torch.arange(BATCH))
            scores = scores.gather(1, own)
        losses["match"] = F.cross_entropy(scores.float(), wanted)
        return losses

    def report(ema: nn.Module) -> dict[str, float]:
        save(ema["network"])
        return {"held_out": accuracy(lambda i, t: score(ema["network"], i, t)[0], pixels, questions, in_batch)}

    fit(both, loss, folder, minutes=minutes, learning_rate=learning_rate, on_checkpoint=report)


def held_out(count: int = 500) -> tuple[Tensor, list[tuple[str, str]]]:
    """Fresh renders (N, 3, 128, 128) in [0, 1], each with its true caption and one hard negative."""
    rng = np.random.default_rng(11)
    scenes = data.training_scenes(HELD_OUT_SHARD)[:count]
    pairs = [negatives(scene, rng, 1) for scene in scenes]
    return render(scenes).float() / 255, [(true, false[0]) for true, false in pairs]


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

    words = vocabulary()
    config = {**IMAGE_REWARD, "vocabulary": len(words)}
    network = ImageRewardNetwork(config)
    (folder / "words").mkdir(parents=True, exist_ok=True)
    (folder / "words" / "vocab.txt").write_text("\n".join(words) + "\n")
    tokenizer = image_reward.make_tokenizer(folder / "words", len(words))

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
        folder / "image_reward_state", minutes=minutes, learning_rate=1e-3, in_batch=False,
        save=save,
    )  # fmt: skip


def train_hpsv2(folder: Path, *, minutes: float, shards: int) -> None:
    """Train the HPSv2-format towers and write rewards/hpsv2."""
    from maskunet.encoders import clip
    from maskunet.rewards import hpsv2

    network = clip.build(HPSV2, plain_attention=True)
    network.visual.output_tokens = True
    tokenizer = clip.tokenizer(HPSV2["text_cfg"]["context_length"])

    def score(module: nn.Module, images: Tensor, texts: list[str]) -> tuple[Tensor, Tensor]:
        pooled, patches = module.visual(normalized(images, 128))
        told = F.normalize(module.encode_text(tokenizer(texts)).float(), dim=-1)
        cosine = F.normalize(pooled.float(), dim=-1) @ told.mT
        return cosine * module.logit_scale.exp(), torch.cat((pooled[:, None], patches), 1)

    train(
        network, score, HPSV2["vision_cfg"]["width"], Examples(folder / "scenes", shards, _predictions(folder), 2),
        folder / "hpsv2_state", minutes=minutes, learning_rate=1e-3, in_batch=True,
        save=lambda ema: hpsv2.save(folder / "rewards", ema, HPSV2),
    )  # fmt: skip


def _predictions(folder: Path) -> Path | None:
    path = folder / "predictions.npy"
    return path if path.exists() else None
