"""What a person should know of how a run's prompts, or many, are read by the model and its rewards, if any score it."""

from collections.abc import Mapping, Sequence
from typing import Any

from maskunet.methods.base import MethodSpec
from maskunet.models import SPECS as MODELS
from maskunet.models.base import DiffusionModel
from maskunet.prompts import fine_print
from maskunet.prompts.tokens import cut_note
from maskunet.prompts.words import words_of
from maskunet.records import Request
from maskunet.records.disk import trained_file
from maskunet.records.disk.hub import file_hash
from maskunet.rewards import SPECS as REWARDS
from maskunet.rewards.base import WeightedRewards


def notes(model: DiffusionModel, rewards: Any, request: Request) -> list[str]:
    """Sentences on what of a request's prompts is cut, is read as letters, or is unknown, and why nothing is scored."""
    prompt, negative = request.prompt, request.negative_prompt
    found = [
        fine_print.encoder_note(prompt, model.tokenizer),
        *_negative(model, negative),
        *(cut_note(_title(name), *cut) for name, cut in _unread(rewards, prompt).items()),
        *_words(model, [prompt, negative]),
        *_unused(model, [prompt, negative]),
        _unscored(rewards),
    ]
    return [note for note in found if note]


def borrowed(model: DiffusionModel, spec: MethodSpec, settings: Any) -> list[str]:
    """That a method takes what was trained for the base while a LoRA is on it, or with a word that is not on it."""
    found = ["What was trained for the base model alone is used under the LoRA as it is."]
    found = found if spec.takes and model.added.loras else []
    for name, path in spec.parts(model, settings).items():
        if trained_file.EMBEDDING in trained_file.kinds(path) and file_hash(path) not in model.weights.values():
            found.append(
                f"The masks “{name}” learned together with a word. Put the embedding “{name}” on the model too (--embedding)."
            )
    return found


def _unused(model: DiffusionModel, texts: Sequence[str]) -> list[str]:
    """The embeddings whose token is in no prompt, so that they do nothing."""
    said = " ".join(texts).lower()
    absent = [token for _, token in model.added.embeddings if token.lower() not in said]
    return [f"No prompt has {' or '.join(absent)}: what is not written does nothing."] if absent else []


def notes_on_many(model: DiffusionModel, rewards: Any, prompts: Sequence[str], negative: str) -> tuple[str, ...]:
    """The same of many prompts, without those that the text encoder cuts: they are counted elsewhere."""
    cut = [name for prompt in prompts for name in _unread(rewards, prompt)]
    found = [
        *_negative(model, negative),
        *(
            f"Prompts of which {_title(name)} does not read the end: {cut.count(name):,}."
            for name in dict.fromkeys(cut)
        ),
        *_words(model, [*prompts, negative]),
        "Nothing was scored." if _unscored(rewards) else "",
    ]
    return tuple(note for note in found if note)


def _unscored(rewards: Any) -> str:
    """That nothing is scored, and why; empty where something is."""
    if rewards or not isinstance(rewards, WeightedRewards):
        return ""
    return f"Not scored: {rewards.missing[:1].lower()}{rewards.missing[1:]}"


def _negative(model: DiffusionModel, negative: str) -> list[str]:
    return [fine_print.encoder_note(negative, model.tokenizer, "the negative prompt")] if negative else []


def _words(model: DiffusionModel, texts: Sequence[str]) -> list[str]:
    vocabulary = MODELS[model.name].vocabulary if model.name in MODELS else {}
    tokens = [token for _, token in model.added.embeddings]
    return [fine_print.literal_note(texts), unknown(texts, model.tokenizer, vocabulary, tokens)]


def unknown(
    texts: Sequence[str], tokenizer: Any, vocabulary: Mapping[str, Sequence[str]], tokens: Sequence[str] = ()
) -> str:
    """A sentence on the words that a model does not know, or empty; only a small one has a `vocabulary`.

    Args:
        tokens: of the embeddings on it.
    """
    known = {word for kind in vocabulary.values() for name in kind for word in name.split()}
    if not known:
        return ""
    known |= {word.text.lower() for token in tokens for word in words_of(token)}
    return fine_print.unknown_note(texts, tokenizer, known)


def _unread(rewards: Any, prompt: str) -> dict[str, tuple[int, str]]:
    return rewards.unread(prompt) if isinstance(rewards, WeightedRewards) else {}


def _title(name: str) -> str:
    return REWARDS[name].title if name in REWARDS else name
