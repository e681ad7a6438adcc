"""Where the groups of a prompt are among the tokens of its text encoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from maskunet.prompts.words import Group, Word, shortened


@dataclass(frozen=True, slots=True)
class TokenGroup:
    """Where a group is among the tokens: the positions of each word's pieces."""

    noun: tuple[int, ...]
    modifiers: tuple[tuple[int, ...], ...] = ()

    @property
    def positions(self) -> frozenset[int]:
        """All of them."""
        return frozenset(self.noun).union(*self.modifiers)


@dataclass(frozen=True, slots=True)
class Located:
    """A prompt's groups among its tokens.

    Attributes:
        groups: those that lie within the tokenizer's length.
        words: positions of all the prompt's pieces, without the start, the end and the padding.
        cut: one sentence on what lies beyond that length, or empty.
    """

    groups: tuple[TokenGroup, ...]
    words: tuple[int, ...]
    cut: str = ""


def unread(text: str, tokenizer: Any, limit: int | None = None) -> str:
    """The end of a text that lies beyond what its reader takes, or nothing.

    Args:
        limit: tokens with the start and the end; the tokenizer's if left out.
    """
    limit = limit or tokenizer.model_max_length
    tokens = tokenizer(text, verbose=False, return_offsets_mapping=tokenizer.is_fast)
    if len(tokens.input_ids) <= limit:
        return ""
    if not tokenizer.is_fast:
        return tokenizer.decode(tokens.input_ids[limit - 1 :], skip_special_tokens=True).strip()
    return text[tokens.offset_mapping[limit - 2][1] :].strip()  # the last place is the end's


def cut_note(reader: str, limit: int, rest: str, what: str = "") -> str:
    """One sentence on what a reader with a limit does not see of a text, or empty if that is nothing."""
    of = f" of {what}" if what else ""
    return f"{reader} reads {limit} tokens{of}; cut off is “{shortened(rest)}”." if rest else ""


def locate(groups: Sequence[Group], prompt: str, tokenizer: Any) -> Located:
    """Find the token positions of groups; a word may have several pieces.

    Args:
        tokenizer: one that tells each token's characters (a fast one).

    Raises:
        ValueError: every group is cut off at the tokenizer's length.
    """
    limit = tokenizer.model_max_length
    tokens = tokenizer(prompt, truncation=True, max_length=limit, return_offsets_mapping=True)
    spans = {i: span for i, span in enumerate(tokens.offset_mapping) if span[0] < span[1]}
    end = max((stop for _, stop in spans.values()), default=0)
    cut, inside = prompt[end:].strip(), [group for group in groups if group.end <= end]

    def pieces(word: Word) -> tuple[int, ...]:
        return tuple(i for i, (start, stop) in spans.items() if start < word.end and stop > word.start)

    note = cut_note("The text encoder", limit, cut).removesuffix(".")
    if lost := [str(group) for group in groups if group not in inside]:
        note += f", and with it {'; '.join(lost)}"
    if not inside:
        raise ValueError(f"{note}: no group is left. Shorten the prompt or name the things earlier.")
    located = tuple(TokenGroup(pieces(g.noun), tuple(pieces(m) for m in g.modifiers)) for g in inside)
    return Located(located, tuple(spans), note and f"{note}.")
