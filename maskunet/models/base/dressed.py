"""A base model with LoRA files and embeddings on it: a model of its own that shares what they leave as it is."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from maskunet.models.base import embedding, lora
from maskunet.models.base.folder import suit
from maskunet.models.base.model import DiffusionModel
from maskunet.records.added import READINGS, Added, written
from maskunet.records.disk.hub import file_hash
from maskunet.records.disk.trained_file import LORA


def dressed(
    model: DiffusionModel, added: Added, files: Mapping[str, Mapping[str, Path]], sites: list[str]
) -> DiffusionModel:
    """The model with what is put on it; the one given stays bit-equal, also after an error.

    Args:
        added: which files. files: "loras" and "embeddings", each by name. sites: the layers that masks may act on.

    Raises:
        ValueError: a file cannot be read, or was made for another kind of model; one sentence.
    """
    loras = [(files["loras"][name], weight) for name, weight in added.loras]
    words = [(files["embeddings"][name], token) for name, token in added.embeddings]
    networks = {name: each for name, each in model.networks.items() if name != "vae"}
    beside = sites if added.lora_masks == READINGS[1] else []
    networks |= lora.put_on(networks, loras, beside) if loras else {}
    suit(networks["unet"])
    tokenizers = {"tokenizer": model.tokenizer, "tokenizer_2": model.tokenizer_2}
    if words:
        ends = ("", "_2") if model.tokenizer_2 is not None else ("",)
        readers = [(networks[f"text_encoder{end}"], tokenizers[f"tokenizer{end}"]) for end in ends]
        for end, reader in zip(ends, embedding.put_on(readers, words), strict=True):
            networks[f"text_encoder{end}"], tokenizers[f"tokenizer{end}"] = reader
    called = tuple((name, t or embedding.about(files["embeddings"][name]).token) for name, t in added.embeddings)
    return replace(
        model,
        **networks,
        **tokenizers,
        added=added._replace(embeddings=called),
        weights={**model.weights, **_weights(added._replace(embeddings=called), files)},
        trained={kind: dict(each) for kind, each in model.trained.items()},
        notes=(*model.notes, *_notes(added, files, called)),
        cache={},
    )


def _weights(added: Added, files: Mapping[str, Mapping[str, Path]]) -> dict[str, str]:
    """SHA-256 of each file; its weight or token is part of the name, since both decide the picture."""
    way = f" ({added.lora_masks})" if added.lora_masks != READINGS[0] else ""
    found = {f"{LORA}{written(name, weight)}{way}": file_hash(files["loras"][name]) for name, weight in added.loras}
    return found | {
        f"embedding/{written(name, token)}": file_hash(files["embeddings"][name]) for name, token in added.embeddings
    }


def _notes(added: Added, files: Mapping[str, Mapping[str, Path]], called: tuple[tuple[str, str], ...]) -> list[str]:
    about = {name: lora.about(files["loras"][name]).note for name, _ in added.loras}
    found = [f"LoRA “{name}” at {weight:g} ({about[name]})." for name, weight in added.loras]
    return found + [f"Embedding “{name}” is written {token} in the prompt." for name, token in called]
