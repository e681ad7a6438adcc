"""The tabletop tokenizer: CLIP's byte-pair encoding with a vocabulary learned from the captions."""

import json
from pathlib import Path

import numpy as np

from maskunet.tabletop.captions import caption
from maskunet.tabletop.scenes import random_scene

LENGTH = 24
VOCABULARY_SIZE = 900


def make(folder: Path, captions: int = 20_000) -> None:
    """Learn the vocabulary and save it as a CLIPTokenizer folder.

    All 256 bytes are in it, with and without word end, so that any prompt can be read.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    rng = np.random.default_rng(7)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator((caption(random_scene(rng), rng) for _ in range(captions)), trainer)
    learned = json.loads(tokenizer.to_str())["model"]
    words = [*sorted(alphabet), *(f"{c}</w>" for c in sorted(alphabet))]
    words += [w for w in learned["vocab"] if w not in words]
    words += ["<|startoftext|>", "<|endoftext|>"]
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in learned["merges"]]
    CLIPTokenizer(
        vocab={word: i for i, word in enumerate(words)}, merges=merges, model_max_length=LENGTH
    ).save_pretrained(folder)
