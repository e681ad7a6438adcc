"""Sets of pictures to a plane and to measures, told step by step; `serve` does it in a process of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from maskunet.evaluation import features
from maskunet.records import feature_set
from maskunet.records.feature_set import FeatureSet
from maskunet.records.features import FeatureEvent, FeatureRequest, Measures, Plane
from maskunet.studio.process import tell


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where a set comes from.

    Attributes:
        title: what it is called in the result.
        path: a file that `feature_set.save` wrote, or a folder of pictures.
        name: of the set within the file; empty for a folder.
    """

    title: str
    path: Path
    name: str = ""


def serve(
    pipe: Connection, sources: Sequence[Source], request: FeatureRequest, device: str, cache: Path | None
) -> None:
    """Tell what `work` does."""
    tell(pipe, work(sources, request, device, cache))


def work(
    sources: Sequence[Source], request: FeatureRequest, device: str = "cpu", cache: Path | None = None
) -> Iterator[FeatureEvent]:
    """Read or extract the sets, put them into the plane, measure them against the reference.

    Sets that cannot be put into a plane, say because they are fewer than the perplexity allows, are
    measured all the same.

    Args:
        request: its sets and reference are titles of the sources here.
        device: of the extractor.
        cache: folder for the features of pictures; None for the usual place.

    Raises:
        ValueError: a set, the extractor or its weights cannot be used, or the sets do not compare.
    """
    sets, notes = yield from _read(sources, request, device, cache)
    feature_set.check_alike(sets)
    yield FeatureEvent(phase="embedding", name=request.embedding)
    plane = _plane(sets, request, notes)
    reference = next(one for one in sets if one.name == request.reference)
    others = [one for one in sets if one is not reference]
    measures = Measures(reference=reference.name)
    news = {"plane": plane, "measures": measures}
    for one in others:
        yield FeatureEvent(phase="measuring", name=one.name, **news)
        measures = _measured(measures, one, reference, request.seed)
        news = {"measures": measures}
    yield FeatureEvent(phase="done", **news)


def _read(
    sources: Sequence[Source], request: FeatureRequest, device: str, cache: Path | None
) -> Iterator[FeatureEvent]:
    """Tell how far it is; return the sets in the order of the sources, and notes."""
    found, notes = {}, []
    for source in sources:
        if source.name:
            sets = {one.name: one for one in feature_set.load(source.path)}
            if source.name not in sets:
                raise ValueError(f"The set “{source.title}” is gone. Reload the page.")
            found[source.title] = replace(sets[source.name], name=source.title)
    folders = [source for source in sources if not source.name]
    if folders:
        from maskunet.evaluation import extractors
        from maskunet.library import networks

        extractor = networks.extractor(request.extractor, device=device)
        for known in list(found.values())[:1]:  # a set of other weights is told before the work
            ours = {"extractor": extractor.name, "weights": extractor.weights}
            feature_set.check_alike([known, replace(known, name=folders[0].title, **ours)])
        for source in folders:
            pictures, said = taken(features.read_folder(source.path, source.title), request.most, request.seed)
            for progress in features.extract(pictures, extractor, cache or extractors.cache_place()):
                counted = {"done": progress.done, "total": progress.total}
                yield FeatureEvent(phase="extracting", name=source.title, **counted)
            found[source.title] = progress.result
            notes += [*said, *_skipped(source.title, progress), *progress.notes]
    return [found[source.title] for source in sources], tuple(notes)


def taken(pictures: features.Pictures, most: int, seed: int) -> tuple[features.Pictures, tuple[str, ...]]:
    """At most so many of the pictures, drawn by the seed, in their order; with notes on what it left out."""
    n = len(pictures.files)
    if n <= most:
        return pictures, pictures.notes
    kept = np.sort(np.random.default_rng(seed).choice(n, most, replace=False)).tolist()
    parts = {name: tuple(getattr(pictures, name)[i] for i in kept) for name in ("files", "sources", "captions")}
    said = f"{most:,} of the {n:,} pictures of “{pictures.name}” were taken, drawn by seed {seed}."
    return replace(pictures, **parts), (said, *pictures.notes)


def _skipped(title: str, progress: features.Progress) -> list[str]:
    if not progress.skipped:
        return []
    file, reason = next(iter(progress.skipped.items()))
    return [
        f"{len(progress.skipped):,} of {progress.total:,} pictures of “{title}” were left out, such as "
        f"{file}, which {reason}."
    ]


def _plane(sets: Sequence[FeatureSet], request: FeatureRequest, notes: tuple[str, ...]) -> Plane:
    from visualize import embedding

    points, problem = {}, ""
    try:
        points = embedding.embed(
            {one.name: one.features for one in sets}, request.embedding, request.perplexity, request.seed
        )
    except ValueError as error:
        from maskunet.failures import sentence

        problem = sentence(error)  # the measures can still be shown
    detail = "" if request.embedding == "PCA" else f", perplexity {request.perplexity:g}, seed {request.seed}"
    return Plane(
        title=f"{request.embedding}{detail}",
        caveat=embedding.CAVEATS.get(request.embedding, ""),
        extractor=sets[0].extractor,
        points=points,
        thumbnails={one.name: one.thumbnails for one in sets},
        files={one.name: one.files for one in sets},
        captions={one.name: one.captions for one in sets},
        problem=problem,
        notes=notes,
    )


def _measured(measures: Measures, one: FeatureSet, reference: FeatureSet, seed: int) -> Measures:
    """The measures so far and those of one more set."""
    from maskunet.evaluation import metrics

    rows = tuple(
        {
            "set": one.name, "reference": reference.name, "measure": score.title, "value": score.value,
            "low": score.low, "high": score.high, "n": score.n, "n_reference": score.n_reference,
            "note": score.note,
        }
        for score in metrics.measure(one.features, reference.features, seed)
    )  # fmt: skip
    return replace(measures, rows=(*measures.rows, *rows), about=reading())


def reading() -> dict[str, str]:
    """How to read each metric, and where its interval comes from."""
    from maskunet.evaluation import metrics

    return {
        spec.title: f"{spec.summary} {spec.better.capitalize()} is better. Interval: {spec.interval}."
        for spec in metrics.SPECS.values()
    }
