"""The precomputed runs that come with the project: real run folders, labeled as precomputed."""

import logging
from pathlib import Path

from maskunet.records import Run
from maskunet.records.disk.shipped import shipped
from maskunet.runs import run_folder

logger = logging.getLogger(__name__)

FOLDER = shipped("examples/gallery")


def load(folder: Path = FOLDER) -> dict[str, Run]:
    """Every readable run of the gallery by id, in the order of the folders' names."""
    found = {}
    for path in sorted(folder.glob("*/run.json")):
        try:
            run = run_folder.read(path.parent)
        except (ValueError, OSError):
            logger.warning("the gallery's run %s cannot be read", path.parent.name, exc_info=True)
            continue
        found[run.id] = run
    return found


def folder(run_id: str, among: Path = FOLDER) -> Path | None:
    """Where the gallery's run of that id is."""
    return next(
        (path.parent for path in among.glob("*/run.json") if f'"{run_id}"' in path.read_text(encoding="utf-8")), None
    )
