"""ImageReward v1.0 (Xu et al. 2023): a BLIP that reads picture and prompt together.

Reads the published ImageReward.pt, or a folder image_reward/ in the same key names with a config.json
of its sizes and a WordPiece vocabulary.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from maskunet.encoders.blip import (
    FULL_SIZE,
    ImageRewardNetwork,
    from_published,
    to_published,
    without_weights,
)
from maskunet.encoders.pixels import normalized
from maskunet.encoders.reading import GET_AGAIN, load_frozen, read_checkpoint, read_json
from maskunet.prompts.tokens import unread
from maskunet.records.disk.hub import file_hash
from maskunet.rewards.base import PromptCache, RewardSpec

MEAN, STD, MAX_LENGTH = 0.16717362830052426, 1.0333394966054072, 35
# Settings of the published text tower that no shape tells, and its tokenizer's special tokens.
PUBLISHED_TEXT = (("num_attention_heads", 12), ("layer_norm_eps", 1e-12), ("hidden_act", "gelu"))
PUBLISHED_TOKENS = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102}


class ImageReward:
    """The score (head(h_class) - mean) / std, about standard normal on real prompts and pictures.

    Attributes:
        sha256: of the file of its weights; empty of a network that was in none.
    """

    sha256 = ""

    def __init__(
        self,
        network: ImageRewardNetwork,
        tokenizer: Any,
        config: Mapping[str, Any],
        *,
        device: torch.device,
        dtype: torch.dtype,
    ):
        self.network, self.tokenizer, self.device, self.dtype = network, tokenizer, device, dtype
        self.size, self.length = config["image_size"], config.get("max_length", MAX_LENGTH)
        self.mean, self.std = config.get("mean", MEAN), config.get("std", STD)
        self._tokens = PromptCache(self._tokenize)

    def __call__(self, image: Tensor, prompts: list[str]) -> Tensor:
        """See `Reward`."""
        rows = [self._tokens(prompt) for prompt in prompts]
        # Padded to the longest only: padding changes nothing but the time.
        tokens = pad_sequence(rows, batch_first=True, padding_value=self.tokenizer.pad_token_id)
        alike = len({len(row) for row in rows}) == 1
        attended = None if alike else pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        raw = self.network(normalized(image, self.size).to(self.dtype), tokens, attended)
        return (raw.float() - self.mean) / self.std

    def unread(self, prompt: str) -> str:
        """What of a prompt lies beyond its `length` tokens."""
        return unread(prompt, self.tokenizer, self.length)

    def _tokenize(self, prompt: str) -> Tensor:
        found = self.tokenizer(prompt, truncation=True, max_length=self.length).input_ids
        return torch.tensor(found, device=self.device)


def make_tokenizer(source: Path, vocabulary: int) -> Any:
    """A BERT WordPiece tokenizer from a folder with vocab.txt.

    Args:
        source: the folder.
        vocabulary: tokens the network knows; BLIP added two that scoring never uses.

    Raises:
        ValueError: there is none, or it is not the checkpoint's: transformers would silently read
            every word as unknown.
    """
    from transformers import BertTokenizer

    path = source / "vocab.txt"
    # What is not UTF-8 becomes words that do not fit, and is refused as such.
    words = path.read_text(encoding="utf-8", errors="replace").rstrip("\n").split("\n") if path.is_file() else []
    numbers = {word: number for number, word in enumerate(words)}
    published = vocabulary == FULL_SIZE["vocabulary"]
    placed = all(word in numbers and (not published or numbers[word] == n) for word, n in PUBLISHED_TOKENS.items())
    if not placed or not vocabulary - 2 <= len(numbers) == len(words) <= vocabulary:
        raise ValueError(
            f"ImageReward needs the vocabulary it was trained with, a “vocab.txt” of {vocabulary - 2:,} to "
            f"{vocabulary:,} different lines with the special tokens in their places; {len(words):,} lines "
            f"were found. For the published checkpoint it is bert-base-uncased's. {GET_AGAIN}"
        )
    tokenizer = BertTokenizer(vocab=numbers, do_lower_case=True)
    special = {w: tokenizer.convert_tokens_to_ids(w) for w in PUBLISHED_TOKENS}
    if len(tokenizer) != len(words) or any(numbers[w] != n for w, n in special.items()):
        raise ValueError(
            f"transformers made a tokenizer of {len(tokenizer):,} entries from the {len(words):,} lines of "
            "“vocab.txt”. Install a version of it that requirements.txt allows."
        )
    return tokenizer


def load(folder: Path, device: torch.device, dtype: torch.dtype) -> ImageReward:
    """Load the published checkpoint or a small one in its format, frozen.

    Raises:
        ValueError: a file is missing, damaged or does not fit.
    """
    source, config = folder / "image_reward", FULL_SIZE
    if (source / "config.json").is_file():
        path, config = source / "model.safetensors", read_json(source / "config.json")
    else:
        source, path = folder, folder / "ImageReward.pt"
        _check_published(folder / "med_config.json")
    network = without_weights(config)
    tokenizer = make_tokenizer(source, config["vocabulary"])
    state = from_published(read_checkpoint(path))
    # The head is small, and bfloat16 would round a score of 1 to steps of 0.008.
    load_frozen(network, state, path.name, device=device, dtype=dtype, exact="mlp.")
    reward = ImageReward(network, tokenizer, config, device=device, dtype=dtype)
    reward.sha256 = file_hash(path)
    return reward


def _check_published(path: Path) -> None:
    found = read_json(path) if path.is_file() else {}
    for key, value in PUBLISHED_TEXT:
        if found.get(key, value) != value:
            raise ValueError(
                f"“{path.name}” says `{key}` is {found[key]}; the published ImageReward has {value}. "
                f"The file is another checkpoint's. {GET_AGAIN}"
            )


def save(folder: Path, network: ImageRewardNetwork, config: dict, vocabulary: list[str]) -> None:
    """Write image_reward/ under `folder` in the published key names, fp16."""
    from safetensors.torch import save_file

    out = folder / "image_reward"
    out.mkdir(parents=True, exist_ok=True)
    state = {k: v.half().contiguous() for k, v in to_published(network.state_dict()).items()}
    save_file(state, out / "model.safetensors")
    (out / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    (out / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")


SPEC = RewardSpec(
    name="image_reward",
    title="ImageReward",
    hinged=True,
    summary="How well a picture fits its prompt and pleases people, about -2 to +2.",
    license="Apache-2.0",
    source="Xu et al. 2023, ImageReward v1.0",
    weight=1.0,
    repo="THUDM/ImageReward",
    files=("ImageReward.pt", "med_config.json"),
    also=(("google-bert/bert-base-uncased", ("vocab.txt",)),),  # the tokenizer is BERT's
    download_gb=1.8,
    load=load,
)
