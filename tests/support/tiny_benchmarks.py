"""Small random networks in the benchmarks' real formats, and things in pictures whose answer is known."""

import json
import string
from pathlib import Path

import numpy as np
import torch

from maskunet.evaluation.benchmarks.geneval.rules import Thing

# COCO's names as published detectors spell them, some without a space.
LABELS = ("person", "bicycle", "car", "motorbike", "dog", "sofa", "mouse", "bench")
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "yes", "no", "a", "the", "red", "blue", "book", "vase", "?", "-")
RGB = {"red": (255, 0, 0), "blue": (0, 0, 255), "green": (0, 160, 0), "white": (255, 255, 255)}


def square(name, left, top, size=20, score=0.95, canvas=200):
    """A square thing with its corner there."""
    mask = np.zeros((canvas, canvas), bool)
    mask[top : top + size, left : left + size] = True
    return Thing(name, score, (left, top, left + size, top + size), mask)


def painted(*things, canvas=200):
    """A black picture with (thing, color) in it."""
    pixels = np.zeros((canvas, canvas, 3), np.uint8)
    for thing, color in things:
        pixels[thing.mask] = RGB[color]
    return pixels


def nearest_color(pixels, things):
    """A color namer that looks at the pixels themselves."""
    found = []
    for thing in things:
        mean = pixels[thing.mask].mean(0)
        found.append(min(RGB, key=lambda color: np.abs(mean - RGB[color]).sum()))
    return found


def write_detector(folder: Path) -> Path:
    """A Mask2Former with six queries."""
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

    torch.manual_seed(0)
    backbone = SwinConfig(
        image_size=32, patch_size=4, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = Mask2FormerConfig(
        backbone_config=backbone, feature_size=32, mask_feature_size=32, hidden_dim=32, encoder_feedforward_dim=32,
        dim_feedforward=32, encoder_layers=1, decoder_layers=2, num_attention_heads=2, num_queries=6,
        id2label=dict(enumerate(LABELS)), label2id={name: i for i, name in enumerate(LABELS)},
    )  # fmt: skip
    Mask2FormerForUniversalSegmentation(config).save_pretrained(folder)
    return folder


def write_clip(folder: Path) -> Path:
    """A CLIP and its tokenizer, of letters."""
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    letters = sorted({*string.ascii_lowercase, "-"})
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary = {word: i for i, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer.from_pretrained(folder).save_pretrained(folder)
    torch.manual_seed(1)
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = layers | {
        "vocab_size": len(words),
        "max_position_embeddings": 77,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    vision = layers | {"image_size": 16, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    return folder


def write_blip(folder: Path) -> Path:
    """A BLIP for questions and its tokenizer, of whole words."""
    from transformers import BertTokenizer, BlipConfig, BlipForQuestionAnswering

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    BertTokenizer.from_pretrained(folder).save_pretrained(folder)
    torch.manual_seed(2)
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = layers | {
        "vocab_size": len(WORDS) + 2, "bos_token_id": len(WORDS), "pad_token_id": 0, "sep_token_id": 3,
        "encoder_hidden_size": 16, "max_position_embeddings": 40, "initializer_range": 0.5,
    }  # fmt: skip
    vision = layers | {"image_size": 32, "patch_size": 8}
    BlipForQuestionAnswering(BlipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
    return folder


def write_networks(folder: Path) -> Path:
    """All three, under the names that --weights expects."""
    from maskunet.evaluation.benchmarks import blip_vqa, geneval

    write_detector(folder / geneval.DETECTOR.name)
    write_clip(folder / geneval.CLIP.name)
    write_blip(folder / blip_vqa.BLIP.name)
    return folder
