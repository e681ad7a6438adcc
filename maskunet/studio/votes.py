"""Votes for the page: a token for each voter, what comes next for it, and nothing that was not asked."""

import re
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from maskunet.records.votes import study as studies
from maskunet.records.votes.ballot import ANSWERS, QUESTIONS, Item, ballot, questions, voter_of
from maskunet.records.votes.box import END, UNDO, Box, Vote, Voter
from maskunet.records.votes.moment import Moment, Outcome, Seen, Tally

TOKEN = re.compile("[0-9a-f]{32}")
MAX_VOTERS = 10_000  # of a study
# Whose first vote comes from one address within so many seconds: a lecture hall has one, and all visitors of a Space.
NEW_VOTERS, WHILE = 300, 3600.0
ADDRESSES = 10_000  # of which these are known; the oldest are forgotten
MOST_LINES = 4  # of one voter for each question: votes, and what was taken back
STALE = "That was answered already, perhaps in another window. This is what comes next."
MANY = "Many people have begun to vote from your network within the hour. Please come back later."
FULL = f"This study has its {MAX_VOTERS:,} voters. Thank you."
ENOUGH = "You have taken back so many answers that no more can be kept. Thank you for those that you gave."
NO_TOKEN = "This vote belongs to no voter. Reload the page and begin again."
UNKNOWN = f"An answer is one of {', '.join(ANSWERS)}."


class VoteStudio:
    """The votes of one study. A voter's token is known to the voter's browser alone, and to no file.

    Args:
        folder: of the study.

    Raises:
        ValueError: there is no study, it was changed, or its votes are of another one; says which.
    """

    def __init__(self, folder: Path):
        self._folder, self._study = folder, studies.read(folder)
        self._box = Box(folder, self._study.hash)
        self._box.voters()  # of another study: told now
        self._new: OrderedDict[str, deque[float]] = OrderedDict()  # times of first votes by address, never on the disk
        self._counting = threading.Lock()
        self._items = lru_cache(maxsize=1024)(lambda voter: ballot(self._study, voter))

    def begin(self) -> str:
        """A new voter's token; nothing is kept of it before the first vote."""
        return secrets.token_hex(16)

    def now(self, token: str) -> Moment | None:
        """Where a voter is; None for one who has not voted yet.

        Raises:
            ValueError: as `Box.voters`.
        """
        if not TOKEN.fullmatch(token):
            return None
        voter = voter_of(self._study, token)
        found = self._box.voters().get(voter)
        return None if found is None else self._moment(voter, found)

    def first(self, token: str) -> Moment:
        """What a voter sees who has just begun, or is somewhere already."""
        return self._moment(self._voter(token), Voter()) if (known := self.now(token)) is None else known

    def vote(self, token: str, at: int, answer: str, address: str = "") -> Moment:
        """Answer the question that this voter sees; it is on the disk when this returns.

        Args:
            at: of the moment that is answered; another one's is not taken, and the note says so.

        Raises:
            ValueError: no such answer, no token, or more voters or votes than are kept.
        """
        if answer not in ANSWERS:
            raise ValueError(UNKNOWN)

        def next_vote(voter: str, known: Voter) -> Vote:
            asked = questions(self._study, self._items(voter))
            if at != len(known.votes) or at >= len(asked) or known.over:
                raise _Stale
            return self._line(voter, at, answer)

        return self._add(token, next_vote, address)

    def undo(self, token: str, at: int) -> Moment:
        """Take the last answer back, as long as nothing was revealed."""

        def next_vote(voter: str, known: Voter) -> Vote:
            if at != len(known.votes) or not at or known.over:
                raise _Stale
            return self._line(voter, at - 1, UNDO)

        return self._add(token, next_vote)

    def end(self, token: str) -> Moment:
        """Show what was what to one who has answered everything; nothing can be changed afterwards."""

        def next_vote(voter: str, known: Voter) -> Vote:
            if known.over or len(known.votes) < len(questions(self._study, self._items(voter))):
                raise _Stale
            return Vote(voter=voter, item=0, pair=0, left=0, question="", answer=END)

        return self._add(token, next_vote)

    def _add(self, token: str, next_vote: Callable[[str, Voter], Vote], address: str = "") -> Moment:
        voter = self._voter(token)

        def made(known: Voter, voters: int) -> Vote:
            vote = next_vote(voter, known)
            if not known.lines:
                self._admit(address, voters)
            elif known.lines >= MOST_LINES * len(questions(self._study, self._items(voter))) and vote.answer != END:
                raise ValueError(ENOUGH)
            return vote

        try:
            return self._moment(voter, self._box.add(voter, made))
        except _Stale:
            return replace(self.first(token), note=STALE)

    def _voter(self, token: str) -> str:
        if not TOKEN.fullmatch(token):
            raise ValueError(NO_TOKEN)
        return voter_of(self._study, token)

    def _admit(self, address: str, voters: int) -> None:
        """Let in a new voter, unless there are too many."""
        if voters >= MAX_VOTERS:
            raise ValueError(FULL)
        with self._counting:
            times = self._new.setdefault(address, deque())
            self._new.move_to_end(address)
            while len(self._new) > ADDRESSES:
                self._new.popitem(last=False)
            while times and times[0] < time.monotonic() - WHILE:
                times.popleft()
            if len(times) >= NEW_VOTERS:
                raise ValueError(MANY)
            times.append(time.monotonic())

    def _line(self, voter: str, at: int, answer: str) -> Vote:
        items = self._items(voter)
        number, question = questions(self._study, items)[at]
        item = items[number]
        return Vote(voter=voter, item=number, pair=item.pair, left=item.left, question=question, answer=answer)

    def _moment(self, voter: str, known: Voter) -> Moment:
        items = self._items(voter)
        asked, at = questions(self._study, items), len(known.votes)
        where = {"at": at, "of": len(asked), "items": len(items)}
        if at >= len(asked):
            return Moment(**where, item=len(items), outcome=self._outcome(items, known) if known.over else None)
        number, question = asked[at]
        item = items[number]
        prompt = self._study.shown[item.pair].prompt if question == "fits" else ""
        return Moment(**where, item=number, question=question, prompt=prompt, pictures=self._pictures(item))

    def _pictures(self, item: Item) -> tuple[bytes, bytes]:
        names = self._study.shown[item.pair].pictures
        left, right = ((self._folder / studies.PICTURES / names[i]).read_bytes() for i in (item.left, 1 - item.left))
        return left, right

    def _outcome(self, items: tuple[Item, ...], known: Voter) -> Outcome:
        """What this voter preferred, pairs that were shown again and obvious ones apart."""
        first: dict[int, dict[str, Vote]] = {}
        meant: dict[tuple[str, tuple[str, str]], list[str | int]] = {}
        seen, same, repeated = [], 0, 0
        for number, item in enumerate(items):
            votes = {each: known.votes[number, each] for each in QUESTIONS if (number, each) in known.votes}
            before = first.setdefault(item.pair, votes)
            if before is not votes:
                repeated += len(votes)
                same += sum(each in before and _meant(before[each]) == _meant(vote) for each, vote in votes.items())
            elif item.pair < len(self._study.pairs):
                seen.append(self._seen(item, votes))
                for each, vote in votes.items():
                    meant.setdefault((each, self._study.shown[item.pair].methods), []).append(_meant(vote))
        order = sorted(meant, key=lambda key: (QUESTIONS.index(key[0]), key[1]))
        tallies = [_tally(question, names, meant[question, names]) for question, names in order]
        return Outcome(tallies=tallies, seen=seen, same=same, repeated=repeated)

    def _seen(self, item: Item, votes: Mapping[str, Vote]) -> Seen:
        pair = self._study.shown[item.pair]
        names = (pair.methods[item.left], pair.methods[1 - item.left])
        answers = {question: vote.answer for question, vote in votes.items()}
        return Seen(prompt=pair.prompt, names=names, pictures=self._pictures(item), answers=answers)


class _Stale(Exception):
    """What was sent belongs to another moment than the voter's."""


def _meant(vote: Vote) -> str | int:
    """Which of the two pictures, 0 or 1, whatever its side; or equal or neither."""
    return {"left": vote.left, "right": 1 - vote.left}.get(vote.answer, vote.answer)


def _tally(question: str, names: tuple[str, str], meant: list[str | int]) -> Tally:
    preferred = (meant.count(0), meant.count(1))
    return Tally(
        question=question, names=names, preferred=preferred, equal=meant.count("equal"), neither=meant.count("neither")
    )  # fmt: skip
