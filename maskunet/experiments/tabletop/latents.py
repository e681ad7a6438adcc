"""What the U-Net learns from, cached: the latents of clean renders with fresh captions, or a spoiled corpus."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskunet.experiments.tabletop.fit import mixed_precision
from maskunet.records.disk import whole
from maskunet.tabletop import data
from maskunet.tabletop.captions import caption
from maskunet.tabletop.scenes import mirrored
from maskunet.tabletop.spoiling import CAPTIONS, PICTURES, Example, Shares, spoil

CORPUS = "corpus.json"  # beside the latents of a spoiled corpus: its shares and its seed
FEWEST = 10  # pictures of a kind, or a share of it means nothing


def clean(vae_folder: Path, scenes: Path, out: Path, shards: int) -> None:
    """Cache the latents of every shard and of its mirror image, and the scale that makes their std 1.

    Raises:
        ValueError: `out` holds a spoiled corpus.
    """
    _begin(out, None)

    def sides(shard: int) -> list[Tensor]:
        images = torch.from_numpy(np.load(scenes / f"{shard:04d}.npy"))
        return [images, images.flip(-1)]

    _encode(vae_folder, out, shards, sides)
    if not (out / "scale.json").exists():
        whole.write(out / "scale.json", json.dumps(1 / float(np.load(out / "0000.npy").astype(np.float32).std())))


def spoiled(folder: Path, shards: int, shares: Shares, seed: int) -> None:
    """Spoil every scene and its mirror image, once and for all; cache the latents and write down the captions.

    A caption on the web is wrong for good: whoever learns from it meets the same one at every turn. So it follows
    from the seed and the picture, as the picture's state does. The latents keep the autoencoder's own scale, so that
    what was trained on it fits.

    Args:
        folder: a training folder with scenes/ and the vae/ of a model, which knows its scale; receives latents/.

    Raises:
        ValueError: latents/ holds another corpus, or one of the shares is too small for so few pictures.
    """
    out, about = folder / "latents", {"shares": asdict(shares), "seed": seed}
    _check_enough(shares, 2 * data.SHARD * shards)
    _begin(out, about)

    def sides(shard: int) -> list[Tensor]:
        examples = corpus(folder / "scenes", shard, shares, seed)
        rows = [[(e.caption, e.caption_kind, e.picture_kind) for e in side] for side in examples]
        whole.write(out / f"{shard:04d}.json", json.dumps(rows))
        return [torch.from_numpy(np.stack([e.picture for e in side])) for side in examples]

    whole.write(out / CORPUS, json.dumps(about))
    whole.write(out / "scale.json", json.dumps(_scale(folder / "vae")))
    _encode(folder / "vae", out, shards, sides)


def corpus(scenes: Path, shard: int, shares: Shares, seed: int) -> tuple[list[Example], list[Example]]:
    """The spoiled shard, and its spoiled mirror image, which is a picture of its own."""
    plain, [images] = data.load(scenes, shard, shard + 1)
    sides = [(plain, images), ([mirrored(scene) for scene in plain], images[..., ::-1])]
    found = [
        [spoil(scene, x, np.random.default_rng((seed, shard, i, side)), shares) for i, (scene, x) in enumerate(pairs)]
        for side, pairs in enumerate(zip(*each, strict=True) for each in sides)
    ]
    return found[0], found[1]


def _begin(out: Path, about: dict[str, Any] | None) -> None:
    """Refuse to mix two corpora in one folder."""
    if next(out.glob("*.npy"), None) and about_corpus(out) != about:
        raise ValueError(f"“{out.name}” holds the latents of another corpus. Give another --folder, or delete them.")
    out.mkdir(parents=True, exist_ok=True)


def _check_enough(shares: Shares, pictures: int) -> None:
    kinds = {kind: getattr(shares, kind) for kind in (*CAPTIONS, *PICTURES)}
    kinds |= {"true captions": 1 - shares.of(CAPTIONS), "clean pictures": 1 - shares.of(PICTURES)}
    for kind, share in kinds.items():
        if 0 < share * pictures < FEWEST:
            raise ValueError(
                f"Of {pictures:,} pictures a share of {share:.2g} ({kind}) is {share * pictures:.1f}; allowed is 0, or "
                f"{FEWEST} pictures and more. Give a larger share or more --shards."
            )


def about_corpus(latents: Path) -> dict[str, Any] | None:
    """The shares and the seed of a spoiled corpus; None of a clean one."""
    path = latents / CORPUS
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _scale(vae_folder: Path) -> float:
    return float(json.loads((vae_folder / "config.json").read_text(encoding="utf-8"))["scaling_factor"])


def _encode(vae_folder: Path, out: Path, shards: int, sides: Callable[[int], list[Tensor]]) -> None:
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(vae_folder).eval().to(memory_format=torch.channels_last)
    for shard in range(shards):
        if not (out / f"{shard:04d}.npy").exists():
            latents = [_latents(vae, images) for images in sides(shard)]
            with whole.file(out / f"{shard:04d}.npy") as fresh:
                np.save(fresh, torch.stack(latents, 1).half().numpy())


@torch.no_grad()
def _latents(vae: nn.Module, images: Tensor) -> Tensor:
    parts = []
    for x in images.split(25):
        with mixed_precision():
            parts.append(vae.encode(x.float() / 127.5 - 1).latent_dist.mean.float())
    return torch.cat(parts)


class Corpus:
    """Pictures as latents with a caption each: of a spoiled corpus always the same, of clean renders a fresh one.

    Args:
        scenes, latents: what `data.make` wrote, and `clean` or `spoiled`.
    """

    def __init__(self, scenes: Path, latents: Path, shards: int):
        self.about = about_corpus(latents)
        self.scale = float(json.loads((latents / "scale.json").read_text(encoding="utf-8")))
        self._latents = torch.from_numpy(np.concatenate([np.load(latents / f"{i:04d}.npy") for i in range(shards)]))
        self._scenes, self._texts = [], []
        if self.about is None:
            self._scenes = data.load(scenes, 0, shards)[0]
        else:
            rows = [json.loads((latents / f"{i:04d}.json").read_text(encoding="utf-8")) for i in range(shards)]
            self._texts = [[row[0] for shard in rows for row in shard[side]] for side in (0, 1)]

    def __len__(self) -> int:
        return len(self._latents)

    def latents(self, index: Tensor, side: Tensor) -> Tensor:
        """What the U-Net sees of pictures, or where `side` is 1 of their mirror images: (B, 4, 16, 16)."""
        return self._latents[index, side].float() * self.scale

    def text(self, index: int, side: int, rng: np.random.Generator) -> str:
        """The picture's caption, drawn anew if it is a clean render."""
        if self.about is not None:
            return self._texts[side][index]
        scene = self._scenes[index]
        return caption(mirrored(scene) if side else scene, rng)
