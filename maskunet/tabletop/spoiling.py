"""The spoiled corpus: what the web does to captions and to pictures, each kind with a share of its own.

A scene and its render become a caption that may not be true and a picture that may be spoiled. Both follow from one
generator, so a picture has one caption and one state for good, as on the web.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from maskunet import plugins
from maskunet.plugins import setting
from maskunet.tabletop.captions import caption, negatives
from maskunet.tabletop.render import project
from maskunet.tabletop.scenes import Scene, random_scene

TRUE, CLEAN = "true", "clean"  # the kinds of captions and pictures that are left as they are
VAGUE = (
    "a photo", "a picture", "a table", "a gray table", "a photo of a table", "a picture of a table",
    "a photo of a gray table", "a small picture", "a large photo", "there is a table", "there is a gray table",
)  # fmt: skip


def _of_another(scene: Scene, rng: np.random.Generator) -> str:
    """The caption of another picture; it shows other shapes, so that its caption cannot be true here by chance."""
    shapes = sorted(thing.shape for thing in scene)
    while True:
        other = random_scene(rng)
        if sorted(thing.shape for thing in other) != shapes:
            return caption(other, rng)


def _partly_wrong(scene: Scene, rng: np.random.Generator) -> str:
    """A caption in which one thing is wrong, see `captions.negatives`."""
    return negatives(scene, rng, 1)[1][0]


def _vague(scene: Scene, rng: np.random.Generator) -> str:
    """A caption that names nothing of what the picture shows."""
    return str(rng.choice(VAGUE))


def _blurred(picture: Tensor, scene: Scene, rng: np.random.Generator) -> Tensor:
    """Made 12 to 18 times smaller, then large again, so that hardly more than a spot of color is left of a thing."""
    small = round(picture.shape[-1] / rng.uniform(12, 18))
    return _resized(F.interpolate(picture[None], size=small, mode="area")[0], picture.shape[-1])


def _faded(picture: Tensor, scene: Scene, rng: np.random.Generator) -> Tensor:
    """Three quarters of its contrast or more gone, under a slight cast of some color.

    It stays about as bright as it was: where nearly all is noise a U-Net takes the brightness for given, so it would not
    learn a fading towards white (Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", 2023).
    """
    cast = picture.mean((1, 2), keepdim=True) + torch.from_numpy(rng.uniform(-0.1, 0.1, (3, 1, 1)).astype(np.float32))
    return cast + float(rng.uniform(0.12, 0.25)) * (picture - cast)


def _noisy(picture: Tensor, scene: Scene, rng: np.random.Generator) -> Tensor:
    """Under Gaussian noise of standard deviation 0.3 to 0.45."""
    noise = torch.from_numpy(rng.standard_normal(picture.shape, np.float32))
    return picture + float(rng.uniform(0.3, 0.45)) * noise


def _cropped(picture: Tensor, scene: Scene, rng: np.random.Generator) -> Tensor:
    """A window of 40 to 52 % of the edge, enlarged; one side of it goes through the middle of a thing."""
    size = picture.shape[-1]
    thing = scene[int(rng.integers(len(scene)))]
    center = (project([(thing.x, thing.y, thing.radius * 0.8)])[0] * size).round().int().clamp(0, size).tolist()
    cut = int(rng.integers(2))  # 0: a left or right side cuts it, 1: an upper or lower one
    widest = max(center[cut], size - center[cut])  # at least half of the picture lies on one side of the thing
    window = min(int(rng.integers(round(0.4 * size), round(0.52 * size) + 1)), widest)
    start = [0, 0]
    start[cut] = center[cut] - window if center[cut] == widest else center[cut]
    start[1 - cut] = min(max(center[1 - cut] - window // 2, 0), size - window)
    left, top = start
    return _resized(picture[:, top : top + window, left : left + window], size)


def _watermarked(picture: Tensor, scene: Scene, rng: np.random.Generator) -> Tensor:
    """Under a broad white cross from corner to corner that lets a little through."""
    size = picture.shape[-1]
    at = torch.arange(size)
    down, right = at[:, None], at[None]
    cross = torch.minimum((down - right).abs(), (down + right - size + 1).abs()) < 0.05 * size
    return picture + float(rng.uniform(0.7, 0.95)) * cross * (1 - picture)


def _resized(picture: Tensor, size: int) -> Tensor:
    return F.interpolate(picture[None], size=size, mode="bilinear", align_corners=False)[0]


CAPTIONS: Mapping[str, Callable[[Scene, np.random.Generator], str]] = {
    "other": _of_another, "partly": _partly_wrong, "vague": _vague,
}  # fmt: skip
PICTURES: Mapping[str, Callable[[Tensor, Scene, np.random.Generator], Tensor]] = {
    "blurred": _blurred, "faded": _faded, "noisy": _noisy, "cropped": _cropped, "watermarked": _watermarked,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Shares:
    """The share of each kind in the corpus, in [0, 1]; what is left is true, or clean.

    Captions and pictures are spoiled independently of each other.

    Raises:
        ValueError: no caption would be true, no picture clean, or nothing spoiled at all.
    """

    other: float = setting(0.1, "captions of another picture", low=0, high=1)
    partly: float = setting(0.1, "captions with one thing wrong", low=0, high=1)
    vague: float = setting(0.05, "captions that name nothing of the picture", low=0, high=1)
    blurred: float = setting(0.16, "pictures that are blurred", low=0, high=1)
    faded: float = setting(0.16, "pictures that are faded, with a color cast", low=0, high=1)
    noisy: float = setting(0.16, "pictures under noise", low=0, high=1)
    cropped: float = setting(0.16, "pictures that cut things off", low=0, high=1)
    watermarked: float = setting(0.16, "pictures under a watermark", low=0, high=1)

    def __post_init__(self) -> None:
        for card in plugins.cards(self):
            plugins.check(card, card.default, f"The share {card.name}")
        for what, kinds, left in (("captions", CAPTIONS, "true"), ("pictures", PICTURES, "clean")):
            if (together := self.of(kinds)) > 1 - 1e-9:
                raise ValueError(
                    f"The shares of {', '.join(kinds)} add up to {together:.4g}, which leaves none of the {what} {left}. "
                    "Give less than 1 together."
                )
        if self.of((*CAPTIONS, *PICTURES)) == 0:
            raise ValueError("With every share at 0 nothing is spoiled. Give at least one of them more.")

    def of(self, kinds: Mapping[str, object] | tuple[str, ...]) -> float:
        """The share of these kinds together."""
        return sum(float(getattr(self, kind)) for kind in kinds)


PRESETS = {
    "web": Shares(),
    "captions": Shares(**dict.fromkeys(PICTURES, 0.0)),
    "pictures": Shares(**dict.fromkeys(CAPTIONS, 0.0)),
}


@dataclass(frozen=True, slots=True)
class Example:
    """One picture of the corpus and its caption.

    Attributes:
        picture: (3, H, W) uint8.
        caption_kind: TRUE, or one of CAPTIONS. picture_kind: CLEAN, or one of PICTURES.
    """

    caption: str
    picture: np.ndarray
    caption_kind: str
    picture_kind: str


def spoil(scene: Scene, picture: np.ndarray, rng: np.random.Generator, shares: Shares) -> Example:
    """Draw whether the caption and the picture are spoiled, and how.

    The caption does not depend on the shares of pictures, nor the picture on those of captions.

    Args:
        scene: what the picture shows. picture: its render, (3, H, W) uint8.
    """
    words, looks = rng.spawn(2)
    caption_kind, picture_kind = _drawn(words, shares, CAPTIONS, TRUE), _drawn(looks, shares, PICTURES, CLEAN)
    text = caption(scene, words) if caption_kind == TRUE else CAPTIONS[caption_kind](scene, words)
    return Example(text, spoiled(picture, scene, looks, picture_kind), caption_kind, picture_kind)


def spoiled(picture: np.ndarray, scene: Scene, rng: np.random.Generator, kind: str) -> np.ndarray:
    """The picture, (3, H, W) uint8, spoiled in this way, or itself if it is to be CLEAN."""
    if kind == CLEAN:
        return picture
    found = PICTURES[kind](torch.from_numpy(np.array(picture)).float() / 255, scene, rng)
    return (found.clamp(0, 1) * 255).round().byte().numpy()


def _drawn(rng: np.random.Generator, shares: Shares, kinds: Mapping[str, object], otherwise: str) -> str:
    odds = [getattr(shares, kind) for kind in kinds]
    return str(rng.choice([*kinds, otherwise], p=[*odds, 1 - sum(odds)]))
