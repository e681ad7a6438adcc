"""The studio's part for features: which sets of pictures there are, and drawings of them, each in its own process."""

import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from maskunet.evaluation import features
from maskunet.plugins import check
from maskunet.records import Card, feature_set
from maskunet.records.disk import pictures
from maskunet.records.disk.shipped import shipped
from maskunet.records.features import EXTRACTOR, RANGES, FeatureEvent, FeatureRequest, SetCard
from maskunet.studio import features_process
from maskunet.studio.features_process import Source
from maskunet.studio.process import Process
from maskunet.studio.queue import ENDED, Job, Queue

COMPUTED = shipped("examples/features")
AT_ONCE, WAITING = 2, 8  # drawings; the others wait in fair order
LIMIT = 3600.0  # seconds of one drawing
KEPT = 8  # finished drawings of what came with the project
TICK = 0.5  # seconds without news after which an event comes for the clock
NOT_PICTURES = "annotations"  # the folder beside COCO's pictures that holds their captions
DIED = "The work ended before it was done, most likely for lack of memory. Take fewer pictures."


class FeatureStudio:
    """Lists sets of pictures and draws them.

    Args:
        computed: folder of files that `feature_set.save` wrote.
        images: folder whose folders of pictures are offered, or None. What is not directly in it cannot
            be reached by any request.
        device: "cuda", "mps" or "cpu", for the extractors.
        cache: folder for extracted features; None for the usual place.

    Raises:
        ValueError: `images` is no folder.
    """

    def __init__(
        self,
        computed: Path = COMPUTED,
        images: Path | None = None,
        device: str = "cpu",
        cache: Path | None = None,
    ):
        if images is not None and not images.is_dir():
            raise ValueError(f"“{images.name}” is no folder. --images takes one that holds folders of pictures.")
        self._computed, self._images, self._device, self._cache = computed, images, device, cache
        self._queue = Queue(WAITING, AT_ONCE)
        self._finished: OrderedDict[tuple, list[FeatureEvent]] = OrderedDict()

    def sets(self) -> list[SetCard]:
        """The precomputed sets, then the folders; also those that cannot be used, with the reason."""
        return [card for card, _ in self._known().values()]

    def extractors(self) -> list[Card]:
        """The networks that describe pictures, the default one first."""
        from maskunet.evaluation.extractors import SPECS

        specs = sorted(SPECS.values(), key=lambda spec: spec.name != EXTRACTOR)
        return [Card(name=one.name, title=one.title, summary=one.summary) for one in specs]

    def draw(self, request: FeatureRequest, owner: str = "", address: str = "") -> Iterator[FeatureEvent]:
        """Draw sets. Without news an event comes twice a second, for the clock.

        Closing the iterator ends the work at once; after `stop` it ends by itself.

        Args:
            owner: who asks, for `stop`; one drawing at a time for each owner, any number for "".
            address: where from; the order is fair between addresses, see `Queue`.

        Raises:
            ValueError: a set does not exist, they do not compare, all places are taken, or the work failed or
                took too long; one sentence.
        """
        sources, asked = self._resolved(request)
        known = (_state(sources), asked)
        if known in self._finished:
            yield from self._finished[known]
            return
        job = Job(request=request, kind="drawing", owner=owner, address=address)
        self._queue.submit(job)
        try:
            while not self._queue.begins(job, TICK):
                if job.phase in ENDED:
                    yield FeatureEvent(phase="stopped")
                    return
                yield FeatureEvent(phase="waiting", seconds=time.monotonic() - job.asked)
            found = []
            for event in self._followed(sources, asked, job):
                found += [event] if event.plane or event.measures or event.phase == "done" else []
                yield event
            if found and found[-1].phase == "done" and all(source.name for source in sources):
                self._keep(known, found)
        finally:
            self._queue.stop(job, "Over.")  # where it still waits
            self._queue.publish(job, "done")

    def stop(self, owner: str) -> None:
        """End the drawings of this owner within half a second."""
        for job in self._queue.of(owner):
            self._queue.stop(job, "Stopped on request.")

    def close(self) -> None:
        """End all drawings."""
        self._queue.close("Stopped because the program was closed.")

    def _keep(self, known: tuple, found: list[FeatureEvent]) -> None:
        """Keep a drawing of precomputed sets for the next visitor who asks for the same."""
        self._finished[known] = found
        while len(self._finished) > KEPT:
            self._finished.popitem(last=False)

    def _followed(self, sources: Sequence[Source], request: FeatureRequest, job: Job) -> Iterator[FeatureEvent]:
        """Start the process and pass on what it says."""
        process = Process(features_process.serve, sources, request, self._device, self._cache, died=DIED)
        event, began = FeatureEvent(phase="starting"), time.monotonic()
        begun = began
        try:
            yield event
            for said in process.told(TICK):
                if time.monotonic() - begun > LIMIT:
                    raise ValueError(f"The drawing took longer than {LIMIT / 60:g} minutes. Take fewer pictures.")
                if job.reason:
                    yield FeatureEvent(phase="stopped")
                    return
                before = event.phase, event.name
                event = said or replace(event, plane=None, measures=None)
                if (event.phase, event.name) != before:
                    began = time.monotonic()
                yield replace(event, seconds=time.monotonic() - began)
        finally:
            process.close()

    def _resolved(self, request: FeatureRequest) -> tuple[list[Source], FeatureRequest]:
        """The chosen sources in the order of the list, and the request in their titles."""
        known = self._known()
        if not request.sets:
            raise ValueError("No set is chosen. Choose at least one.")
        for key in (*request.sets, request.reference):
            if key not in known:
                raise ValueError("A chosen set is not there any more. Reload the page.")
            if reason := known[key][0].reason:
                raise ValueError(reason)
        if request.reference not in request.sets:
            raise ValueError("The reference is not among the chosen sets. Choose it too, or another one.")
        for card in RANGES:
            check(card, getattr(request, card.name))
        chosen = [known[key] for key in known if key in request.sets]
        _check_extractors([card for card, _ in chosen], request.extractor)
        titles = tuple(card.title for card, _ in chosen)
        asked = replace(request, sets=titles, reference=known[request.reference][0].title)
        return [source for _, source in chosen], asked

    def _known(self) -> dict[str, tuple[SetCard, Source | None]]:
        """All sets by key."""
        found: dict[str, tuple[SetCard, Source | None]] = {}
        titles: set[str] = set()
        for card, source in (*self._precomputed(), *self._folders()):
            title = card.title
            if title in titles:
                title = f"{title} ({source.path.stem if source.name else 'folder'})"
            titles.add(title)
            found[card.key] = (
                replace(card, title=title),
                source and replace(source, title=title),
            )
        return found

    def _precomputed(self) -> Iterator[tuple[SetCard, Source | None]]:
        for path in sorted(self._computed.glob("*.npz")):
            try:
                sets = _contents(path, path.stat().st_mtime_ns)
            except (ValueError, OSError) as error:
                reason = str(error) if isinstance(error, ValueError) else f"“{path.name}” cannot be read."
                yield SetCard(key=path.name, title=path.stem, reason=reason), None
                continue
            for name, n, extractor in sets:
                card = SetCard(key=f"{path.stem}/{name}", title=name, n=n, extractor=extractor, file=path.stem)
                yield card, Source(title=name, path=path, name=name)

    def _folders(self) -> Iterator[tuple[SetCard, Source | None]]:
        if self._images is None:
            return
        inside = sorted(p for p in self._images.iterdir() if p.is_dir() and p.name[0] != ".")
        folders = [p for p in inside if p.name != NOT_PICTURES]
        if not folders:
            name = self._images.name
            reason = f"“{name}” holds no folders. Start with --images and the folder above those of pictures."
            yield SetCard(key="folder:", title=name, reason=reason), None
        for path in folders:
            n, reason = _pictures(path)
            yield (
                SetCard(key=f"folder:{path.name}", title=path.name, n=n, reason=reason),
                Source(title=path.name, path=path),
            )


def _state(sources: Sequence[Source]) -> tuple:
    """What precomputed features are read from, and when it was written."""
    return tuple((s.path, s.name, s.path.stat().st_mtime_ns) for s in sources)


@lru_cache(maxsize=64)
def _contents(path: Path, changed: int) -> tuple[tuple[str, int, str], ...]:
    """Name, number of pictures and extractor of each set in a file; read again when it has changed."""
    return tuple((one.name, len(one.files), one.extractor) for one in feature_set.load(path))


def _pictures(path: Path) -> tuple[int, str]:
    """How many pictures a folder holds, and why it cannot be used if so."""
    try:
        # Annotations are not read here, as they take seconds; what is wrong with them is told by the drawing.
        n = len(pictures.listed(path))
        if not n:
            features.read_folder(path)
    except ValueError as error:
        return 0, str(error)
    except OSError:
        return 0, f"The folder “{path.name}” cannot be read. Check its permissions."
    return n, ""


def _check_extractors(cards: Sequence[SetCard], asked: str) -> None:
    """Tell before any work that features of different networks cannot be compared."""
    used = {card.title: card.extractor or asked for card in cards}
    first = next(iter(used))
    for title, extractor in used.items():
        if extractor != used[first]:
            raise ValueError(
                f"The features of “{first}” are of the extractor {used[first]} and those of “{title}” of {extractor}, "
                "so they mean different things. Choose sets of one extractor."
            )
