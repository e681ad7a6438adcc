"""Read a single file: recognized, checked weight by weight against its header, then loaded."""

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskunet.models.base import scheduler
from maskunet.models.base.folder import assembled, other_vae
from maskunet.models.base.model import DEFAULT_STEPS, DiffusionModel
from maskunet.models.base.reading import CONFIG_FILES, SECOND_CONFIGS, refuse_no_numbers
from maskunet.models.base.single_file import header as headers
from maskunet.models.base.single_file import kinds, prediction
from maskunet.models.base.single_file.header import Header
from maskunet.models.base.single_file.kinds import UNET, Kind
from maskunet.models.base.single_file.names import Original, originals
from maskunet.records.disk.hub import file_hash

SHORT = 10  # digits of a file's SHA-256 that model sites search by (AutoV2)
LARGER = 96  # latents' edge of the models of Stable Diffusion 2 that predict v: pictures of 768 x 768
# The token that fills up a short prompt, for each text encoder.
PADS = {"sd1": ("<|endoftext|>",), "sd2": ("!",), "sdxl": ("<|endoftext|>", "!")}
TOKENIZERS = ("tokenizer", "tokenizer_2")


def kind_of(path: Path) -> Kind:
    """The kind of model in a single file, from its header alone.

    Raises:
        ValueError: it is no such model, or cut off; one sentence without a path.
    """
    return kinds.recognize(headers.read(path))


def from_file(
    path: Path,
    *,
    name: str,
    guidance: float,
    steps: int = DEFAULT_STEPS,
    device: torch.device,
    dtype: torch.dtype,
    tiny_decoder: Path | None = None,
    few_steps: bool = False,
    vae: Path | None = None,
) -> DiffusionModel:
    """Load a Stable Diffusion 1.x, 2.x or XL checkpoint in its original layout, frozen.

    Args:
        tiny_decoder: folder of an AutoencoderTiny for its latents, if there is one. few_steps: see `ModelSpec`.
        vae: as in `from_folder`.

    Raises:
        ValueError: the file is no such model, incomplete or damaged; says what to do. Until its header has passed,
            nothing is built and no weight is read.
    """
    from safetensors import safe_open

    header = headers.read(path)
    kind = kinds.recognize(header)
    networks, places = {part: empty(kind, part) for part in kind.networks}, {}
    overflows = kind.name == "sdxl" and dtype == torch.float16  # its VAE does, whoever made the file
    for part, network in networks.items():
        places[part] = _places(header, kind, part, network)
    says = prediction.said(header, kind.name)
    config = {**config_of(kind, "scheduler"), **prediction.asked(says)}
    with safe_open(path, framework="pt") as file:
        for part, network in networks.items():
            own = torch.float32 if part == "vae" and overflows else dtype
            _fill(network, file, places[part], own, f"{part} of {header.file}")
        weights = {"checkpoint": file_hash(path), "unet/original": _hash(file, header)}
    if overflows and vae is not None:
        networks["vae"], hashed = other_vae(vae, dtype)
        weights |= hashed
    model = assembled(
        path.name,
        {**networks, **dict(zip(TOKENIZERS, tokenizers(kind), strict=False))},
        name=name,
        schedule=scheduler.of(config, path.name, few_steps=few_steps),
        guidance=guidance,
        steps=steps,
        device=device,
        dtype=dtype,
        weights=weights,
        tiny_decoder=tiny_decoder,
        empty_is_zeros=kind.name == "sdxl",
    )
    if not says.type:
        says = prediction.measured(model)
    schedule = replace(model.schedule, prediction_type=says.type)
    shape = model.latent_shape
    if kind.name == "sd2" and says.type == "v_prediction" and shape[-1] == 64:
        shape = (shape[0], LARGER, LARGER)
    note = (
        f"{header.file} is a {kind.title} checkpoint (SHA-256 {model.weights['checkpoint'][:SHORT]}…, the digits that model sites search by); "
        f"it predicts {prediction.TITLES[says.type]}: {says.why}."
    )
    return replace(model, schedule=schedule, latent_shape=shape, notes=(note,))


def config_of(kind: Kind, part: str) -> dict[str, Any]:
    """The configuration of a part, as in a diffusers folder."""
    return json.loads((kind.configs / part / {**CONFIG_FILES, **SECOND_CONFIGS}[part]).read_text(encoding="utf-8"))


def empty(kind: Kind, part: str) -> nn.Module:
    """A network of that kind with its weights on the meta device."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config, texts = (
        config_of(kind, part),
        {"text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection},
    )
    with torch.device("meta"):
        if part in texts:
            return texts[part](CLIPTextConfig(**config))
        return {"unet": UNet2DConditionModel, "vae": AutoencoderKL}[part].from_config(config)


def tokenizers(kind: Kind) -> list[Any]:
    """CLIP's tokenizer, of open_clip's copy of its vocabulary, once for each text encoder."""
    from transformers import CLIPTokenizer

    (place,) = find_spec("open_clip").submodule_search_locations
    with gzip.open(Path(place) / "bpe_simple_vocab_16e6.txt.gz", "rt", encoding="utf-8") as file:
        lines = file.read().split("\n")[1 : 49152 - 256 - 2 + 1]  # as many as CLIP took of them
    merges = [tuple(line.split()) for line in lines]
    letters = _letters()
    words = [*letters, *(f"{each}</w>" for each in letters), *map("".join, merges), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    return [
        CLIPTokenizer(vocab=vocabulary, merges=merges, pad_token=pad, model_max_length=77) for pad in PADS[kind.name]
    ]


def _letters() -> list[str]:
    """A visible character for each byte: those that are visible stand for themselves and come first."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in visible]
    return [*map(chr, visible), *(chr(256 + number) for number in range(len(others)))]


def _places(header: Header, kind: Kind, part: str, network: nn.Module) -> dict[str, Original]:
    """Where each weight of a network is in the file.

    Raises:
        ValueError: some are not there, or of another size; names the first one.
    """
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    places = originals(part, kind.name, shapes, network.config)
    for name, place in places.items():
        old = place.name.replace("transformer.text_model.", "transformer.")  # as some early merges have it
        if place.name not in header.shapes and old in header.shapes:
            places[name] = Original(old)
    lacking = sorted(place.name for place in places.values() if place.name not in header.shapes)
    if lacking:
        raise ValueError(
            f"{header.file} lacks {len(lacking):,} weights of its {kinds.WORDS[part]}, such as {lacking[0]}. Take a whole checkpoint."
        )
    for name, place in places.items():
        if not _fits(header.shapes[place.name], shapes[name], place):
            has, needed = (" x ".join(map(str, shape)) for shape in (header.shapes[place.name], shapes[name]))
            raise ValueError(
                f"{header.file} is no {kind.title} model of the usual size: {place.name} is {has}, not {needed}. {kinds.GIVE}"
            )
    return places


def _fits(has: tuple[int, ...], needed: tuple[int, ...], place: Original) -> bool:
    if place.third is not None:
        return has == (3 * needed[0], *needed[1:])
    if place.turned:
        return has == needed[::-1]
    return has[: len(needed)] == needed and set(has[len(needed) :]) <= {1}  # a 1 x 1 convolution is a matrix


def _fill(network: nn.Module, file: Any, places: Mapping[str, Original], dtype: torch.dtype, what: str) -> None:
    """Give a network its weights, and the buffers that no file holds."""

    def weight(name: str, needed: Tensor) -> Tensor:
        place = places[name]
        value = file.get_tensor(place.name)
        if place.third is not None:
            value = value.chunk(3)[place.third].clone()
        if place.turned:
            value = value.T.contiguous()
        return value.reshape(needed.shape).to(dtype)

    state = {name: weight(name, needed) for name, needed in network.state_dict().items()}
    network.load_state_dict(state, assign=True)
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta:  # the text encoder's count of its positions
                module.register_buffer(name, torch.arange(buffer.shape[-1]).expand(buffer.shape), persistent=False)
    refuse_no_numbers(what, network)


def _hash(file: Any, header: Header) -> str:
    """SHA-256 of the U-Net alone: what was trained on it fits, whatever VAE lies beside it."""
    found = hashlib.sha256()
    for name in sorted(name for name in header.shapes if name.startswith(UNET)):
        found.update(f"{name} {header.types[name]} {header.shapes[name]}".encode())
        found.update(file.get_tensor(name).contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()
