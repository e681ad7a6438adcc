"""The votes of a study: a file to which a line is added for each, which is on the disk before it counts.

Nothing in it says who voted but a random number. Threads and programs may add to it at once.
"""

import json
import os
import re
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from maskunet.records.disk import whole
from maskunet.records.disk.locked import locked
from maskunet.records.votes.ballot import ANSWERS, QUESTIONS

SCHEMA = 1
FILE, LOCK = "votes.jsonl", "votes.lock"
UNDO, END = "undo", "end"  # the last vote does not count; the voter has seen what was what
CUT = object()  # stands for a line that was cut off
LONGEST = 1000  # characters of a text in a line
LARGEST = 10**6  # number in a line; a study has fewer pairs
NAME = re.compile(r"[0-9A-Za-z][\w ]{0,63}")  # of a voter: nothing that a table or a page would take for more
NO_VOTE = f"“{FILE}” has a line that is no vote: {{:.120}}. Take it out."
CHANGED = (
    "The study was changed after people had voted: the votes in “votes.jsonl” are of another one. Put the study back, or "
    "make a new one in another folder."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Vote:
    """A line.

    Attributes:
        item: its place in the voter's ballot. pair: in the study's `shown`. left: which of its pictures was there.
        question: of QUESTIONS, or empty for END. answer: of ANSWERS, UNDO or END.
        time: in UTC, to the second.
    """

    voter: str
    item: int
    pair: int
    left: int
    question: str
    answer: str
    time: str = ""


NUMBERS = ("item", "pair", "left")


@dataclass(slots=True)
class Voter:
    """What one voter's lines come to.

    Attributes:
        votes: that count, by item and question, in the order in which they came.
        lines: all of them. twice: votes on what this voter had answered before, which do not count.
        over: whether this voter has seen what was what.
    """

    votes: dict[tuple[int, str], Vote] = field(default_factory=dict)
    lines: int = 0
    twice: int = 0
    over: bool = False

    def take(self, vote: Vote) -> None:
        """Take note of the next line."""
        self.lines += 1
        if vote.answer == UNDO:
            if self.votes and not self.over:
                self.votes.popitem()
        elif vote.answer == END:
            self.over = True
        elif (vote.item, vote.question) in self.votes or self.over:
            self.twice += 1
        else:
            self.votes[vote.item, vote.question] = vote


class Box:
    """The votes of one study.

    Args:
        folder: of the study. study: its hash.

    Attributes:
        cut: lines that were cut off while they were written, which no voter was told of as kept.
    """

    def __init__(self, folder: Path, study: str):
        self._folder, self._study, self._alone = folder, study, threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._voters: dict[str, Voter] = {}
        self._read, self.cut = 0, 0

    def voters(self) -> dict[str, Voter]:
        """Every voter by name.

        Raises:
            ValueError: the votes are of another study or version, or a line is none; says which.
        """
        with self._alone, whole.telling("vote"):
            if (self._folder / FILE).is_file():
                with (self._folder / FILE).open("rb") as file:
                    self._catch_up(file)
            return self._voters

    def add(self, voter: str, next_vote: Callable[[Voter, int], Vote]) -> Voter:
        """Add a line, and return when it is on the disk.

        Args:
            next_vote: makes it, from what this voter has voted so far and how many voters there are. It may refuse with a
                ValueError; then nothing is written. Nobody else adds anything meanwhile.

        Raises:
            ValueError: the disk is full, or as `voters`.
        """
        with whole.telling("vote"), self._alone, locked(self._folder / LOCK), (self._folder / FILE).open("a+b") as file:
            if not self._catch_up(file):
                self._write(file, "\n")  # after a line that was cut off; whatever it is counts before what comes next
                self._catch_up(file)
            vote = next_vote(self._voters.get(voter, Voter()), len(self._voters))
            now = datetime.now(UTC).isoformat(timespec="seconds")
            known = {"schema": SCHEMA, "study": self._study, **asdict(vote), "time": now}
            self._write(file, json.dumps(known) + "\n")
            self._catch_up(file)
            return self._voters[voter]

    def _write(self, file: BinaryIO, text: str) -> None:
        end = file.seek(0, os.SEEK_END)
        try:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            os.truncate(file.fileno(), end)  # no half a line, which the next one would have to step over
            raise

    def _catch_up(self, file: BinaryIO) -> bool:
        """Take note of what was added; whether the file ends in a whole line."""
        if file.seek(0, os.SEEK_END) < self._read:  # somebody put another file there
            self._forget()
        file.seek(self._read)
        added = file.read()
        end = added.rfind(b"\n") + 1
        lines = [line for line in added[:end].splitlines() if line.strip()]
        records = [record for record in map(_record, lines) if record is not CUT]
        votes = [_vote(record, self._study) for record in records]  # all of them or, where one is refused, none
        for vote in votes:
            self._voters.setdefault(vote.voter, Voter()).take(vote)
        self.cut += len(lines) - len(records)
        self._read += end
        return end == len(added)


def _record(line: bytes) -> Any:
    """What a line says; CUT of one that was cut off."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return CUT


def _vote(record: Any, study: str) -> Vote:
    if not isinstance(record, dict) or "schema" not in record:
        raise ValueError(NO_VOTE.format(json.dumps(record)))
    if (schema := record["schema"]) != SCHEMA:
        raise ValueError(
            f"“{FILE}” has a line of version {schema!r:.20}; this program reads version {SCHEMA}. Take the program that "
            "wrote it."
        )
    if record.get("study") != study:
        raise ValueError(CHANGED)
    values = {each.name: record.get(each.name) for each in fields(Vote)}
    numbers = all(type(values[name]) is int and 0 <= values[name] <= LARGEST for name in NUMBERS)
    texts = all(
        isinstance(value, str) and len(value) <= LONGEST for name, value in values.items() if name not in NUMBERS
    )
    named = texts and NAME.fullmatch(values["voter"])
    if not (numbers and named and values["left"] <= 1 and _is_one(values["question"], values["answer"])):
        raise ValueError(NO_VOTE.format(json.dumps(record)))
    return Vote(**values)


def _is_one(question: str, answer: str) -> bool:
    return answer == END or (question in QUESTIONS and answer in (*ANSWERS, UNDO))
