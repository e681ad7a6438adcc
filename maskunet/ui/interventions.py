"""What a visitor tries on the Intervene tab: wishes one after the other, undone and redone, and what came of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from maskunet.records import Card, Request, Run
from maskunet.records.selection import Network, Place, kept, parse, simplified, write
from maskunet.ui import intervene_words as words
from maskunet.ui.html.intervene import Board, thumb

MOST_TRIED, MOST_WISHES, MOST_CLICKS = 24, 100, 50
NEXT = {1.0: 0.0, None: 0.0, 0.0: 0.5, 0.5: 1.0}  # what a click makes of a part's state


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What is to be changed: places that are out, or some of a concept's mask.

    Attributes:
        what: a selection. concept: one of the model's, and `dose`, −1 (erased) to 1 (amplified).
    """

    what: str = ""
    concept: str = ""
    dose: float = 0.0

    def said(self) -> str:
        """What stands under its picture."""
        return words.dosed(self.concept, self.dose) if self.dose else words.without(self.what)

    def method(self, concepts: Sequence[Card]) -> tuple[str, dict[str, Any]]:
        """The method that does it, and its settings.

        Raises:
            ValueError: there is no such mask.
        """
        if not self.dose:
            return "knock_out", {"what": self.what}
        direction = "erase" if self.dose < 0 else "amplify"
        for card in concepts:
            if (card.title, card.kind) == (self.concept, direction):
                return "held_mask", {"mask": card.name, "dose": abs(self.dose)}
        raise ValueError(words.ONE_WAY.format(direction=direction, concept=self.concept[:60]))


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """A picture that was made: its run, the wish, what decides it (`decides`), and how it is listed."""

    run: str
    wish: Wish
    asked: str
    gain: str
    picture: str


@dataclass(frozen=True, slots=True)
class Session:
    """One page's wishes, of which number `at` holds, and what was tried.

    Attributes:
        run: the one that is shown. seed: its noise's, which stays where the form says any.
        clicks: the number of the newest click on the board that counts.
    """

    wishes: tuple[Wish, ...] = (Wish(),)
    at: int = 0
    tried: tuple[Tried, ...] = ()
    run: str = ""
    seed: int | None = None
    clicks: int = 0

    @property
    def wish(self) -> Wish:
        """What holds now."""
        return self.wishes[self.at]

    def wished(self, wish: Wish) -> "Session":
        """With a new wish in place of those that were undone."""
        if wish == self.wish:
            return self
        wishes = (*self.wishes[: self.at + 1], wish)[-MOST_WISHES:]
        return replace(self, wishes=wishes, at=len(wishes) - 1)

    def moved(self, by: int) -> "Session":
        """Undone or redone by so many wishes, as far as there are any."""
        return replace(self, at=min(max(self.at + by, 0), len(self.wishes) - 1))

    def known(self, asked: str) -> str:
        """The run that was made of the same request before, or nothing."""
        return next((each.run for each in self.tried if each.asked == asked), "")

    def found(self, run_id: str) -> Tried:
        """What was tried, by its run.

        Raises:
            ValueError: it is not listed.
        """
        for each in self.tried:
            if each.run == run_id:
                return each
        raise ValueError(words.AGAIN)

    def with_run(self, run: Run, asked: str) -> "Session":
        """With this run shown and listed."""
        rise = "total" in run.rewards and "total" in run.base_rewards
        gain = f"reward {words.signed(run.rewards['total'] - run.base_rewards['total'])}" if rise else ""
        new = Tried(run=run.id, wish=self.wish, asked=asked, gain=gain, picture=thumb(run))
        listed = self.tried if self.known(asked) else (*self.tried, new)[-MOST_TRIED:]
        return replace(self, tried=listed, run=run.id, seed=run.request.seed)


def decides(request: Request) -> str:
    """What a picture follows from, as a text."""
    return repr((
        request.prompt, request.negative_prompt, request.seed, request.model, request.method, request.steps,
        request.guidance, request.added, sorted(request.settings.items()),
    ))  # fmt: skip


def clicked(network: Network, steps: int, session: Session, clicks: Any) -> Session:
    """The session after clicks on parts, each a number, which grows, and the place that it names.

    A browser sends a click again until it has seen an answer; one that counts already changes nothing.

    Raises:
        ValueError: something else was sent, or a part that is not there.
    """
    if not isinstance(clicks, list) or len(clicks) > MOST_CLICKS:
        raise ValueError(words.AGAIN)
    places: Sequence[Place] = parse(session.wish.what)
    newest = session.clicks
    for click in clicks:
        number, what = click if isinstance(click, list) and len(click) == 2 else (None, None)
        named = parse(what) if isinstance(what, str) else ()
        if not isinstance(number, int) or len(named) != 1:
            raise ValueError(words.AGAIN)
        if number <= newest:
            continue
        (place,) = named
        kept((place,), network.sites, network.heads, steps)
        state = Board(network, places, steps, None).state(place)
        places = simplified([*places, replace(place, kept=NEXT[state])])
        newest = number
    if newest == session.clicks:
        return session
    return replace(session.wished(Wish(what=write(places))), clicks=newest)


def directions(concepts: Sequence[Card]) -> Mapping[str, list[str]]:
    """For each concept of a model, whether it can be erased, amplified or both."""
    found: dict[str, list[str]] = {}
    for card in concepts:
        found.setdefault(card.title, []).append(card.kind)
    return found
