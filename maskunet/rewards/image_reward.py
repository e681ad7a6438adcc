"""ImageReward v1.0 (Xu et al. 2023): a BLIP that reads picture and prompt together.

Reads the published ImageReward.pt, or a folder image_reward/ in the same key names with a config.json
of its sizes and a WordPiece vocabulary.
"""

import json
from pathlib import Path

import torch
from torch import Tensor

from maskunet.encoders.blip import FULL_SIZE, ImageRewardNetwork, from_published, to_published
from maskunet.rewards.base import PromptCache, RewardSpec, load_strictly, normalized, read_checkpoint

MEAN, STD, MAX_LENGTH = 0.16717362830052426, 1.0333394966054072, 35


class ImageReward:
    """The score (head(h_class) - mean) / std, about standard normal on real prompts and pictures."""

    def __init__(self, network: ImageRewardNetwork, tokenizer, config: dict, device, dtype):
        self.network = network.to(device, dtype).eval().requires_grad_(False)
        self.size, self.length = config["image_size"], config.get("max_length", MAX_LENGTH)
        self.mean, self.std = config.get("mean", MEAN), config.get("std", STD)
        self.tokenizer, self.device, self.dtype = tokenizer, device, dtype
        self._tokens = PromptCache(self._tokenize)

    def __call__(self, image: Tensor, prompts: list[str]) -> Tensor:
        """See `Reward`."""
        states = self.network.patches(normalized(image.to(self.dtype), self.size))
        if len(set(prompts)) == 1:
            tokens, attended = (part.expand(len(prompts), -1) for part in self._tokens(prompts[0]))
        else:
            tokens, attended = self._tokenize(prompts)
        return (self.network.match(states, tokens, attended).float() - self.mean) / self.std

    def _tokenize(self, prompts: str | list[str]) -> tuple[Tensor, Tensor]:
        texts = [prompts] if isinstance(prompts, str) else prompts
        # Padding changes nothing but the time, so a single prompt is not padded.
        out = self.tokenizer(
            texts, padding=True, truncation=True, max_length=self.length, return_tensors="pt"
        )
        return out.input_ids.to(self.device), out.attention_mask.to(self.device)


def make_tokenizer(source: Path, vocabulary: int):
    """A BERT WordPiece tokenizer from a folder with vocab.txt.

    Raises:
        ValueError: there is none, or it is not the checkpoint's: transformers would silently read
            every word as unknown.
    """
    from transformers import BertTokenizer

    path = source / "vocab.txt"
    words = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    special = [w for w in ("[PAD]", "[UNK]", "[CLS]", "[SEP]") if w not in words]
    if special or not vocabulary - 2 <= len(words) <= vocabulary:
        raise ValueError(
            f"ImageReward needs the vocabulary it was trained with, a vocab.txt of {vocabulary - 2:,} to "
            f"{vocabulary:,} lines beside it; {len(words):,} were found. For the published checkpoint it is "
            "bert-base-uncased's."
        )
    return BertTokenizer(vocab=str(path), do_lower_case=True)


def load(folder: Path, device: torch.device, dtype: torch.dtype) -> ImageReward:
    """Load the published checkpoint or a small one in its format, frozen.

    Raises:
        ValueError: a file is missing, damaged or does not fit.
    """
    small = folder / "image_reward"
    if (small / "config.json").is_file():
        source, path, config = (
            small,
            small / "model.safetensors",
            json.loads((small / "config.json").read_text()),
        )
    else:
        source, path, config = folder, folder / "ImageReward.pt", dict(FULL_SIZE)
    state = from_published(read_checkpoint(path))
    tokenizer = make_tokenizer(source, config["vocabulary"])
    with torch.device("meta"):
        network = ImageRewardNetwork(config)
    network.to_empty(device="cpu")
    # Not in any checkpoint, so it would stay uninitialized.
    positions = network.text_encoder.embeddings.position_ids
    positions.copy_(torch.arange(positions.shape[-1])[None])
    load_strictly(network, {k: v.float() for k, v in state.items()}, path.name)
    return ImageReward(network, tokenizer, config, device, dtype)


def save(folder: Path, network: ImageRewardNetwork, config: dict, vocabulary: list[str]) -> None:
    """Write image_reward/ under `folder` in the published key names, fp16."""
    from safetensors.torch import save_file

    out = folder / "image_reward"
    out.mkdir(parents=True, exist_ok=True)
    state = {k: v.half().contiguous() for k, v in to_published(network.state_dict()).items()}
    save_file(state, out / "model.safetensors")
    (out / "config.json").write_text(json.dumps(config, indent=1))
    (out / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")


SPEC = RewardSpec(
    name="image_reward",
    title="ImageReward",
    summary="How well a picture fits its prompt and pleases people, about -2 to +2.",
    license="Apache-2.0",
    source="Xu et al. 2023, ImageReward v1.0",
    weight=1.0,
    repo="THUDM/ImageReward",
    files=("ImageReward.pt", "med_config.json"),
    download_gb=1.8,
    load=load,
)
