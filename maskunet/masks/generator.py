"""The mask generator: from the timestep and the sample to a mask for every site of an up block.

MaskUNet (CVPR 2025), section 3.2. Eq. 3 joins the time embedding and the block's pooled input, Eq. 4 makes
logits of them, Eq. 5 makes the mask; Eq. 6 and 7, its use, are `masked_unet.MaskedLinear`.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskunet.masks.mask import NOISE_KINDS, noise_like, straight_through
from maskunet.masks.masked_unet import Features
from maskunet.masks.sites import MaskSite, find_sites
from maskunet.plugins import cards, check, setting

VARIANTS = ("light", "static", "live", "official")
PUBLISHED = ("live", "official")
PUBLISHED_START = 5.0  # exp(-exp(5)): no weight is ever removed
PUBLISHED_FACTOR, PUBLISHED_WIDTH = 4, 64


@dataclass(frozen=True, kw_only=True)  # without slots, so that a recipe's settings can extend two classes
class GeneratorSettings:
    """Which generator, and what it may see.

    Attributes:
        variant: "light", "static", "live" or "official"; see `MaskGenerator`.
        use_temb, use_sample: let the masks depend on the timestep and on the block's input (Table 4 of
            the paper). With neither, "light" learns one mask of low rank, and "live" and "official" do not
            exist; "static" sees nothing anyway.
        tau: temperature of the Gumbel-sigmoid while training.
        noise: of the Gumbel-sigmoid while training, "one_sided" as published, "logistic" or "none".
        rank: of "light", components of each site's logits, and `width`, that of what they depend on.
        start: of "light" and "static", the logits before training; 2 is a removed ratio of 0.06 % with one-sided noise.
        seed: of the initial parameters.

    Raises:
        ValueError: a value is out of range; says which and what is allowed.
    """

    variant: str = setting("light", "structure; live is official with a branch that learns", choices=VARIANTS)
    use_temb: bool = setting(True, "depend on the timestep")
    use_sample: bool = setting(True, "depend on the sample")
    tau: float = setting(1.0, "temperature", low=0.01, high=100.0)
    noise: str = setting("one_sided", "in training", choices=NOISE_KINDS)
    rank: int = setting(16, "of light's logits", low=1, high=64)
    width: int = setting(64, "of light's context", low=1, high=512)
    start: float = setting(2.0, "first logits of light and static", low=-10.0, high=10.0)
    seed: int = setting(0, "seed of the initial parameters", low=0, high=2**32 - 1)

    def __post_init__(self) -> None:
        for card in cards(self):
            check(card, card.default)
        if self.variant in PUBLISHED and not (self.use_temb or self.use_sample):
            raise ValueError(
                f"The variant {self.variant} needs use_temb or use_sample. Allow one, or choose light or static."
            )


class MaskGenerator(nn.Module):
    """One network per up block with sites: (time embedding, pooled block input) to logits per site.

    Variants:
        official: the published structure. What Eq. 3 joins goes through 64 units to a coarse grid of
            a quarter of the block's input and output channels; two linear layers per site stretch the
            grid's sides to O and I. Its last layer begins at zero, with a ReLU behind it, whose gradient
            at 0 is 0: nothing before the stretching ever learns, and its masks are static. Block 0 of
            Stable Diffusion has no site, yet has a network. 84,551,040 parameters for SD 1.5.
        live: the same without this ReLU, and with stretching layers of rows that begin at N(0, 0.01)
            instead of 0; and nothing for blocks without sites. In both the time embedding's layer begins
            at He's scale, in the published code at PyTorch's, which is 2.4 times smaller: in official
            nothing comes of it, in live the masks depend more on the timestep from the beginning.
        light: logits = start + (u * g(c)) v^T per site, with row factors u (O, r), column factors v (I, r)
            and gates g (r) that are linear in a context c of the block. Any pattern that removes at most d
            weights of every row is the sign of a matrix of rank 2 d + 1, so that low rank is no limit for
            masks that remove few; and factors cost (O + I) r parameters instead of O I. u is random and v
            is 0 in the beginning, as in LoRA: every weight is kept, v learns from the first step, and from
            the second on everything does. Weight decay pulls towards the plain U-Net. 2.4 million
            parameters for SD 1.5, and one matrix product for all sites of one shape.
        static: one logit per weight, the same at every timestep and for every sample. Each weight is judged by
            itself, where light flips rows and columns together, so that noise in the gradients cancels before
            a weight goes. As many parameters as there are masked weights.

    Args:
        unet: whose sites and sizes count; it is not kept. On the meta device, so is the generator;
            otherwise it is made on the CPU in float32.
        settings: see `GeneratorSettings`.

    Raises:
        ValueError: the U-Net has no sites.
    """

    def __init__(self, unet: nn.Module, settings: GeneratorSettings):
        super().__init__()
        self.settings = settings
        self.start = 0.0 if settings.variant in PUBLISHED else settings.start
        sites, seed = find_sites(unet), torch.Generator().manual_seed(settings.seed)
        time_width = unet.time_embedding.linear_2.out_features
        structure = {"light": _LowRank, "static": _Static}.get(settings.variant, _Published)
        self.blocks = nn.ModuleDict()
        with torch.device("meta" if unet.device.type == "meta" else "cpu"):
            for index, block in enumerate(unet.up_blocks):
                mine = [site for site in sites if site.block == index]
                if mine or settings.variant == "official":
                    layer = block.resnets[0].conv1
                    sizes = (time_width, layer.in_channels, layer.out_channels)
                    self.blocks[str(index)] = structure(sizes, mine, settings, seed)

    @property
    def cut(self) -> float:
        """The logit above which a weight is kept with a probability of more than one half."""
        return math.log(math.log(2)) if self.settings.noise == "one_sided" else 0.0

    @property
    def static(self) -> bool:
        """Whether its masks are the same at every timestep and for every sample, as its settings have it."""
        s = self.settings
        return s.variant == "static" or not (s.use_temb or s.use_sample)

    @torch.no_grad()
    def fixed(self) -> dict[str, Tensor]:
        """The deterministic masks (O, I), 0 or 1, of every site, of a generator that is `static`."""
        nothing = next(self.parameters()).new_zeros(1, 0)
        made = (pair for block in self.blocks.values() for pair in block(nothing, nothing))
        masks = _by_site((names, above.gt_(self.cut - self.start)) for names, above in made)
        return {name: mask[0] for name, mask in masks.items()}

    def logits(self, block: int, features: Features) -> dict[str, Tensor]:
        """The logits (B, O, I) of every site of an up block, float32.

        Args:
            block: its index.
            features: what enters it, as `MaskedUNet.decode` hands it out.

        Raises:
            ValueError: the block has no sites.
        """
        return _by_site((names, above + self.start) for names, above in self._above(block, features))

    def forward(
        self,
        block: int,
        features: Features,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
    ) -> dict[str, Tensor]:
        """The masks (B, O, I), 0 or 1, of every site of an up block.

        In training, and whenever a generator is given, they are drawn: straight-through Gumbel-sigmoid
        (Eq. 5). In evaluation without one they are deterministic: a weight is kept if the probability
        of keeping it exceeds one half.

        Published code differs: it draws them at inference too.

        Args:
            block, features: see `logits`.
            generator: of the noise, on the CPU; or B of them, one per sample, so that a sample's noise
                does not depend on its batch. None in training is PyTorch's default one.
        """
        drawn = generator is not None or self.training
        generator = generator or torch.default_generator
        return _by_site(
            # The start goes into the comparison: one pass less over as many numbers as there are weights.
            (names, self._draw(above, generator) if drawn else above.detach().gt_(self.cut - self.start))
            for names, above in self._above(block, features)
        )

    def _above(self, block: int, features: Features) -> Iterator[tuple[list[str], Tensor]]:
        """Names of S sites of one shape and their logits less the start (B, S, O, I), until all are through."""
        if str(block) not in self.blocks:
            raise ValueError(f"Up block {block} has no sites; there are masks for {', '.join(self.blocks)}.")
        with _exactly(features.sample.device.type):
            states = (features.sample, features.skips[-1])
            pooled = torch.cat([state.float().mean((2, 3)) for state in states], 1)
            yield from self.blocks[str(block)](features.time.float(), pooled)

    def _draw(self, above: Tensor, generator: torch.Generator | Sequence[torch.Generator]) -> Tensor:
        logits, kind = above + self.start, self.settings.noise
        if isinstance(generator, torch.Generator):
            noise = noise_like(logits, kind, generator)
        else:
            pairs = zip(logits, generator, strict=True)
            noise = torch.stack([noise_like(one, kind, each) for one, each in pairs])
        return straight_through(logits, noise, self.settings.tau)


def _exactly(device: str) -> AbstractContextManager:
    """In float32 also where a training computes in bfloat16, which knows steps of 0.03 only around 5."""
    # Entering autocast to turn it off takes longer than a small block's context, so only where it is on.
    on = device != "meta" and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if on else nullcontext()


def _by_site(stacks: Iterator[tuple[list[str], Tensor]]) -> dict[str, Tensor]:
    return {name: each for names, stack in stacks for name, each in zip(names, stack.unbind(1), strict=True)}


class _Published(nn.Module):
    """The published structure for one up block; `live` where the last ReLU is left out."""

    def __init__(
        self,
        sizes: tuple[int, int, int],
        sites: list[MaskSite],
        settings: GeneratorSettings,
        seed: torch.Generator,
    ):
        super().__init__()
        time, inputs, outputs = sizes
        self.settings, self.names = settings, [site.name for site in sites]
        self.grid = (outputs // PUBLISHED_FACTOR, inputs // PUBLISHED_FACTOR)
        rows, columns = self.grid
        live = settings.variant == "live"
        self.time = _linear(time, inputs, seed, bias=None) if settings.use_temb else None
        self.hidden = _linear(inputs, PUBLISHED_WIDTH, seed)
        self.last = _linear(PUBLISHED_WIDTH, rows * columns, seed, std=0.0)
        stretch = {"seed": seed, "bias": PUBLISHED_START}
        self.rows = nn.ModuleList(_linear(rows, site.shape[0], std=0.01 if live else 0.0, **stretch) for site in sites)
        self.columns = nn.ModuleList(_linear(columns, site.shape[1], std=0.0, **stretch) for site in sites)

    def forward(self, time: Tensor, pooled: Tensor) -> Iterator[tuple[list[str], Tensor]]:
        merged = pooled if self.settings.use_sample else torch.zeros_like(pooled)
        if self.time is not None:
            merged = merged + self.time(time)  # Eq. 3
        grid = self.last(F.relu(self.hidden(merged)))  # Eq. 4
        if self.settings.variant == "official":
            grid = F.relu(grid)
        grid = grid.unflatten(1, self.grid)
        for name, rows, columns in zip(self.names, self.rows, self.columns, strict=True):
            yield [name], columns(rows(grid.mT).mT)[:, None]


class _LowRank(nn.Module):
    """The light structure for one up block; sites of one shape are computed together."""

    def __init__(
        self,
        sizes: tuple[int, int, int],
        sites: list[MaskSite],
        settings: GeneratorSettings,
        seed: torch.Generator,
    ):
        super().__init__()
        time, inputs, _ = sizes
        rank, width = settings.rank, settings.width
        self.time = _linear(time, width, seed) if settings.use_temb else None
        self.sample = _linear(inputs, width, seed) if settings.use_sample else None
        self.mix = _linear(width, width, seed) if settings.use_temb or settings.use_sample else None
        self.names = [[s.name for s in sites if s.shape == shape] for shape in _shapes(sites)]
        self.rows, self.columns = nn.ParameterList(), nn.ParameterList()
        self.gates = nn.ModuleList()
        for names, (outputs, inputs) in zip(self.names, _shapes(sites), strict=True):
            self.rows.append(nn.init.normal_(torch.empty(len(names), outputs, rank), generator=seed))
            self.columns.append(torch.zeros(len(names), inputs, rank))
            if self.mix is not None:
                self.gates.append(_linear(width, len(names) * rank, seed, bias=1.0))

    def forward(self, time: Tensor, pooled: Tensor) -> Iterator[tuple[list[str], Tensor]]:
        context = self._context(time, pooled)
        for index, names in enumerate(self.names):
            rows, columns = self.rows[index], self.columns[index]
            if context is None:
                rows = rows.expand(len(pooled), *rows.shape)
            else:
                rows = rows * self.gates[index](context).unflatten(1, (len(names), 1, -1))
            yield names, rows @ columns.mT

    def _context(self, time: Tensor, pooled: Tensor) -> Tensor | None:
        """(B, width) of what the masks depend on, both brought to one scale; None for static masks."""
        given = [
            layer(F.layer_norm(value, value.shape[-1:]))
            for layer, value in ((self.time, time), (self.sample, pooled))
            if layer is not None
        ]
        return F.silu(self.mix(F.silu(sum(given[1:], given[0])))) if given else None


class _Static(nn.Module):
    """The static structure for one up block."""

    def __init__(
        self,
        sizes: tuple[int, int, int],
        sites: list[MaskSite],
        settings: GeneratorSettings,
        seed: torch.Generator,
    ):
        super().__init__()
        self.names = [[s.name for s in sites if s.shape == shape] for shape in _shapes(sites)]
        groups = zip(self.names, _shapes(sites), strict=True)
        self.above = nn.ParameterList(torch.zeros(len(names), *shape) for names, shape in groups)

    def forward(self, time: Tensor, pooled: Tensor) -> Iterator[tuple[list[str], Tensor]]:
        for names, above in zip(self.names, self.above, strict=True):
            yield names, above.repeat(len(pooled), 1, 1, 1)  # a copy, because masks are made in place


def _shapes(sites: list[MaskSite]) -> list[tuple[int, int]]:
    return list(dict.fromkeys(site.shape for site in sites))


def _linear(
    inputs: int, outputs: int, seed: torch.Generator, *, std: float | None = None, bias: float | None = 0.0
) -> nn.Linear:
    """A layer with weights from N(0, std), by default He's for ReLU, without touching the global stream."""
    kind = {"bias": bias is not None, "device": torch.get_default_device()}
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs, **kind)
    nn.init.normal_(layer.weight, std=math.sqrt(2 / inputs) if std is None else std, generator=seed)
    if bias is not None:
        nn.init.constant_(layer.bias, bias)
    return layer
