"""python -m maskunet vote ACTION: blind votes on pairs of pictures.

make SOURCE…   a study, from a folder with a folder of pictures per method, a race's, a grid's or a table's folder, or runs
report DIR     what the votes of a study say, and what a study of its size can tell
export DIR     every vote that counts, as a table for other programs

python app.py --vote DIR asks people, in the tab Vote.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from maskunet.commands.base import CommandSpec, Options, UsageError, command_line, option

PER_VOTER = 20
MAKE = {"action": ("make",)}
MOST = 200  # a test compares it with the study's, which would bring NumPy


@dataclass(frozen=True, kw_only=True)
class VoteOptions(Options):
    action: str = option(choices=("make", "report", "export"), positional=True)
    places: tuple[Path, ...] = option(
        (),
        "make: where the pictures are; report and export: the study's folder",
        positional=True,
        read=Path,
        repeat=tuple,
    )
    prompts: Path | None = option(None, "the prompts of folders that do not have them", metavar="FILE", only_for=MAKE)
    against: str | None = option(None, "a method that every pair must have", metavar="METHOD", only_for=MAKE)
    per_voter: int | None = option(
        None, f"pairs that one voter is shown; {PER_VOTER} if left out", low=1, high=MOST, only_for=MAKE
    )
    out: Path | None = option(None, "folder of the study", writes="folder", only_for=MAKE)
    table: Path | None = option(None, "the file; printed if left out", writes="file", only_for={"action": ("export",)})


def run(options: VoteOptions) -> None:
    """Make a study, or say what its votes say.

    Raises:
        ValueError: nothing to compare, no study, or one that was changed after people had voted; says what to do.
    """
    if not options.places:
        raise UsageError(f"{options.action} takes a folder")
    if options.action != "make" and len(options.places) > 1:
        raise UsageError(f"{options.action} takes one folder, not {len(options.places)}")
    {"make": _make, "report": _report, "export": _export}[options.action](options)


def _make(options: VoteOptions) -> None:
    from maskunet.experiments.votes import make, sources

    if options.out is None:
        raise UsageError("make takes --out, a folder for the study")
    made = sources.read(options.places, options.prompts)
    study, notes = make.make(made, options.out, per_voter=options.per_voter or PER_VOTER, against=options.against)
    sys.stderr.writelines(f"{note}\n" for note in dict.fromkeys(notes))
    told = sum(bool(pair.prompt) for pair in study.pairs)
    lines = [f"{len(study.pairs):,} pairs by {len(study.methods)} methods: {', '.join(study.methods)}."]
    if told < len(study.pairs):
        lines.append(f"{len(study.pairs) - told:,} pairs have no prompt: of them it is only asked which looks better.")
    lines.append(f"Ask people: python app.py --vote {options.out}")
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _report(options: VoteOptions) -> None:
    from maskunet.experiments.votes import report, write
    from maskunet.machine import versions
    from maskunet.records.votes import box, study

    (folder,) = options.places
    known = study.read(folder)
    votes = box.Box(folder, known.hash)
    found = report.report(known, votes.voters())
    about = {"command": command_line("vote", options), "cut": votes.cut, "versions": versions()}
    sys.stdout.write(write.save(folder, found, about))


def _export(options: VoteOptions) -> None:
    from maskunet.experiments.votes import report
    from maskunet.records.disk import whole
    from maskunet.records.table import csv_text
    from maskunet.records.votes import box, study

    (folder,) = options.places
    known = study.read(folder)
    rows = report.rows(known, box.Box(folder, known.hash).voters())
    if options.table is None:
        sys.stdout.write(csv_text(rows))
        return
    with whole.telling("table"):
        whole.write(options.table, csv_text(rows))


SPEC = CommandSpec(
    name="vote",
    title="blind votes on pairs of pictures: make a study, report it",
    about=__doc__,
    options=VoteOptions,
    run=run,
)
