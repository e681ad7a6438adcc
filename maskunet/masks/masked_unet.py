"""Put masks on a frozen U-Net and take them off; run what carries no mask once per timestep.

MaskUNet (CVPR 2025), Eq. 6-7: a masked layer computes with w * m, per sample by a batched product.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from maskunet.encoders.text_states import TextStates
from maskunet.masks.sites import MaskSite, find_sites

UNSUPPORTED = (
    "class_embed_type",
    "encoder_hid_dim_type",
    "encoder_hid_dim",
    "num_class_embeds",
)


class MaskedLinear(nn.Linear):
    """A linear layer that shares the frozen Parameters of another and multiplies its weight by a mask.

    `mask` is None (the plain layer), (O, I) for the whole batch, or (B, O, I), one per sample.
    """

    def __init__(self, original: nn.Linear):
        nn.Module.__init__(self)  # not nn.Linear's, which draws weights: 70 of them take a while
        self.in_features, self.out_features = original.in_features, original.out_features
        self.register_parameter("weight", original.weight)
        self.register_parameter("bias", original.bias)
        self._frozen = (original.weight,)  # in a tuple, so that it is no second parameter
        self.train(original.training)
        self.mask: Tensor | None = None
        self.beside = getattr(original, "beside", None)  # of a LoRA that no mask is to touch, see `LinearBeside`

    @property
    def frozen(self) -> Tensor:
        """(O, I) the weight without any mask, whatever is folded into `weight`."""
        return self._frozen[0]

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, ..., I) to (B, N, ..., O); with a mask per sample there must be a token axis N."""
        return self._masked(x) if self.beside is None else self._masked(x) + self.beside(x)

    def _masked(self, x: Tensor) -> Tensor:
        if self.mask is None:
            return F.linear(x, self.weight, self.bias)
        weight = self.weight * self.mask
        if weight.ndim == 2:
            return F.linear(x, weight, self.bias)
        out = torch.bmm(x.flatten(1, -2), weight.mT).unflatten(1, x.shape[1:-1])  # (B, ..., O)
        return out if self.bias is None else out + self.bias


class Features(NamedTuple):
    """What the U-Net has computed on the way into an up block, for one (x_t, t, text).

    Attributes:
        sample: hidden state entering the block; of `encode`, the first one with sites.
        time: (B, E) time embedding. text: (B, N, D) text states.
        skips: the down path's states that are still to be consumed, in their order.
        forward_size: whether sizes must be passed on because the latent is not a multiple of 2^n.
    """

    sample: Tensor
    time: Tensor
    text: Tensor
    skips: tuple[Tensor, ...]
    forward_size: bool


Masks = Mapping[str, Tensor]  # (O, I), or (B, O, I), one per sample, by site name


class MaskedUNet:
    """A frozen UNet2DConditionModel in two halves, `encode` and `decode`, with masks in the second.

    Use it as a context manager: on entry the sites' layers are replaced, on exit, also after an
    exception, the original layer objects are back. With all-ones masks, or none, the result is bit
    for bit the plain U-Net's.

        with MaskedUNet(unet) as masked:
            features = masked.encode(x_t, t, text)
            eps = masked.decode(features, masks)

    Args:
        unet: the U-Net; nothing in it is changed but the layer objects at the sites.
        sites: which weights; by default `find_sites(unet)`.
        checkpointing: recompute the masked blocks in the backward pass: less memory, more time.

    Raises:
        ValueError: the U-Net has parts that the split does not know, such as class conditions.
    """

    def __init__(self, unet: nn.Module, sites: Sequence[MaskSite] | None = None, *, checkpointing: bool = False):
        given = [name for name in UNSUPPORTED if getattr(unet.config, name, None) is not None]
        if getattr(unet.config, "addition_embed_type", None) not in (None, "text_time"):
            given.append("addition_embed_type")
        if given:
            raise ValueError(
                f"This U-Net uses {', '.join(given)}; masks are supported on Stable Diffusion 1.x, 2.x and XL U-Nets."
            )
        self.unet, self.sites, self.checkpointing = (
            unet,
            tuple(find_sites(unet) if sites is None else sites),
            checkpointing,
        )
        self._first = min(site.block for site in self.sites)
        self._originals: dict[str, tuple[nn.Module, str, nn.Linear]] = {}  # owner, its attribute, the layer
        self._layers: dict[str, MaskedLinear] = {}

    def __enter__(self) -> "MaskedUNet":
        originals = {site.name: _place(self.unet, site.name) for site in self.sites}
        taken = [name for name, (*_, layer) in originals.items() if isinstance(layer, MaskedLinear)]
        if taken:  # checked before the first change, so that a failure leaves nothing half done
            raise RuntimeError(f"`{taken[0]}` carries a mask already; leave the other MaskedUNet first.")
        self._originals = originals
        for name, (owner, attribute, layer) in originals.items():
            self._layers[name] = MaskedLinear(layer)
            setattr(owner, attribute, self._layers[name])
        return self

    def __exit__(self, *exception: object) -> None:
        for owner, attribute, layer in self._originals.values():
            setattr(owner, attribute, layer)
        self._originals, self._layers = {}, {}

    @property
    def layers(self) -> Mapping[str, MaskedLinear]:
        """The layers that are on, by site name; none outside the context."""
        return self._layers

    def original(self, name: str) -> nn.Linear:
        """The layer that a site had before and gets back."""
        return self._originals[name][-1]

    def fold(self, masks: Masks) -> None:
        """Multiply masks (O, I) that never change into the weights: no step pays for them, to the same last bit.

        The frozen weights are left as they are; these are copies, gone on exit.

        Raises:
            ValueError: a name is no site or a shape does not fit; nothing has been changed then.
        """
        self._check(masks, 1, self.sites)
        for name, mask in masks.items():
            weight = self._layers[name].weight
            self._layers[name].weight = nn.Parameter(weight * mask.to(weight.dtype), requires_grad=False)

    def encode(self, x_t: Tensor, t: int | Tensor, text: TextStates | Tensor) -> Features:
        """Run everything up to the first up block with sites; once per timestep suffices.

        Args:
            x_t: (B, C, H, W) noisy latents. t: training timestep. text: states of B prompts.
        """
        unet, text = self.unet, TextStates.of(text)
        forward_size = any(size % 2**unet.num_upsamplers for size in x_t.shape[-2:])
        if unet.config.center_input_sample:
            x_t = 2 * x_t - 1
        time = unet.time_embedding(unet.get_time_embed(sample=x_t, timestep=t))
        told = text.arguments
        text = told.pop("encoder_hidden_states")
        added = unet.get_aug_embed(emb=time, encoder_hidden_states=text, **{"added_cond_kwargs": {}, **told})
        time = time if added is None else time + added  # of Stable Diffusion XL, the pooled text and the sizes
        if unet.time_embed_act is not None:
            time = unet.time_embed_act(time)
        sample = unet.conv_in(x_t)
        skips = (sample,)
        for block in unet.down_blocks:
            sample, states = block(hidden_states=sample, temb=time, **_text(block, text))
            skips += states
        if unet.mid_block is not None:
            sample = unet.mid_block(sample, time, **_text(unet.mid_block, text))
        features = Features(sample, time, text, skips, forward_size)
        for index in range(self._first):
            features = self._up(index, features)
        return features

    def decode(self, features: Features, masks: Masks | Callable[[int, Features], Masks] | None = None) -> Tensor:
        """Run the up blocks with sites under `masks` and return the U-Net's output (B, C, H, W).

        Args:
            masks: (O, I) or (B, O, I) by site name; B counts both halves of a guided batch. None, or
                a site left out, means the plain weight. Or what makes them: called once for each up
                block with sites, with its index and the features that enter it, it returns the masks
                of this block's sites.

        Raises:
            ValueError: a name is no site or a shape does not fit; nothing has been changed then, or
                with masks that are made block by block, nothing in this block and the later ones.
        """
        masks = masks or {}
        if not callable(masks):
            self._check(masks, len(features.sample), self.sites)
        for index in range(self._first, len(self.unet.up_blocks)):
            features = self._masked_up(index, features, masks)
        sample = features.sample
        if self.unet.conv_norm_out:
            sample = self.unet.conv_act(self.unet.conv_norm_out(sample))
        return self.unet.conv_out(sample)

    def _masked_up(self, index: int, features: Features, masks: Masks | Callable[[int, Features], Masks]) -> Features:
        sites = [site for site in self.sites if site.block == index]
        if callable(masks):
            masks = masks(index, features) if sites else {}
            self._check(masks, len(features.sample), sites)
        mine = {site.name: masks.get(site.name) for site in sites}

        def block(sample: Tensor, *values: Tensor | None) -> Tensor:
            # The masks are arguments: a recomputation in the backward pass sets the same ones again,
            # even if the layers have been given others in between.
            for name, value in zip(mine, values, strict=True):
                layer = self._layers[name]
                layer.mask = None if value is None else value.to(layer.weight.dtype)
            inner = Features(sample, features.time, features.text, features.skips, features.forward_size)
            made = self._up(index, inner).sample
            # Else what made them would be kept in memory until the next ones. A recomputation is broken off before this
            # line, and must be: what is recomputed within it, in a U-Net that recomputes too, needs the same masks.
            for name in mine:
                self._layers[name].mask = None
            return made

        if self.checkpointing and torch.is_grad_enabled():
            sample = checkpoint(block, features.sample, *mine.values(), use_reentrant=False)
        else:
            sample = block(features.sample, *mine.values())
        consumed = len(self.unet.up_blocks[index].resnets)
        return Features(sample, features.time, features.text, features.skips[:-consumed], features.forward_size)

    def _up(self, index: int, features: Features) -> Features:
        block = self.unet.up_blocks[index]
        count = len(block.resnets)
        states, rest = features.skips[-count:], features.skips[:-count]
        size = rest[-1].shape[2:] if features.forward_size and rest else None
        sample = block(
            hidden_states=features.sample,
            temb=features.time,
            res_hidden_states_tuple=states,
            upsample_size=size,
            **_text(block, features.text),
        )
        return Features(sample, features.time, features.text, rest, features.forward_size)

    def _check(self, masks: Masks, batch: int, sites: Sequence[MaskSite]) -> None:
        if not self._layers:
            raise RuntimeError("Masks are only on inside the context: `with MaskedUNet(unet) as masked:`.")
        shapes = {site.name: site.shape for site in sites}
        for name, mask in masks.items():
            if name not in shapes:
                raise ValueError(
                    f"`{name}` is no site of this U-Net, or one of another up block. "
                    "Rebuild the masks with find_sites(unet)."
                )
            if tuple(mask.shape) not in (shapes[name], (batch, *shapes[name])):
                raise ValueError(
                    f"The mask for `{name}` has shape {tuple(mask.shape)}; the weight is {shapes[name]} and "
                    f"the batch is {batch}. Rebuild it with find_sites(unet)."
                )


def _place(unet: nn.Module, name: str) -> tuple[nn.Module, str, nn.Linear]:
    """The module that owns a layer, the attribute it is, and the layer."""
    path, _, attribute = name.rpartition(".")
    owner = unet.get_submodule(path)
    return owner, attribute, getattr(owner, attribute)


def _text(block: nn.Module, text: Tensor) -> dict[str, Tensor]:
    """The text argument of those blocks that take one."""
    return {"encoder_hidden_states": text} if getattr(block, "has_cross_attention", False) else {}
