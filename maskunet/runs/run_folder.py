"""Run folders: two pictures, run.json, steps.csv and masks; written at once, read back.

A picture's PNG holds what determines it (no times, no id), so that a replay gives the same bytes.
"""

import filecmp
import json
import re
import secrets
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from maskunet.records import MaskSet, Run, course, mask_set, site_stats
from maskunet.records.disk import untrusted, whole
from maskunet.records.site_stats import SiteStats
from maskunet.records.table import csv_text
from maskunet.runs import check, replay

FILES = (
    "base.png", "result.png", "run.json", "steps.csv", "masks.safetensors", "sites.npz", "sites.csv", "steps.webp",
    "maps.npz",
)  # fmt: skip
BASE, RESULT, RECORD, STEPS, MASKS, SITES, SITES_TABLE, FRAMES, MAPS = FILES
MAX_ZIP = 256 * 2**20  # bytes of an uploaded run, unpacked


def write(run: Run, folder: Path) -> Path:
    """Write a run as `folder`, all or nothing; an earlier run there is replaced.

    Raises:
        ValueError: the disk is full, the place cannot be written, or `folder` holds other files.
    """
    check_place(folder)
    with whole.telling("run"), whole.folder(folder) as fresh:
        _write_files(run, fresh)
    return folder


def check_place(folder: Path) -> None:
    """Refuse a folder that holds anything but a run, before hours of work are spent.

    Raises:
        ValueError: `folder` is a file, holds files of another kind, or cannot be replaced.
    """
    whole.check(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"“{folder.name}” is a file. Give the name of a folder for the run.")
    inside = folder.iterdir() if folder.is_dir() else ()
    if any(p.name not in FILES and not re.fullmatch(r"maskunet-\w+\.zip", p.name) for p in inside):
        raise ValueError(f"The folder “{folder.name}” holds other files. Give another one.")


def _write_files(run: Run, folder: Path) -> None:
    if run.base_image is not None:
        settings = dict(run.base_settings)
        plain = replace(run.request, method="plain", preset="", settings=settings)
        about = {"settings": settings, "rewards": run.base_rewards, "keep_ratio": 1.0}
        write_png(run.base_image, folder / BASE, picture_record(run, request=plain, **about))
    write_png(run.result_image, folder / RESULT, picture_record(run))
    (folder / RECORD).write_text(_json(run.record(), indent=2) + "\n", encoding="utf-8")
    _write_rows(run.rows, folder / STEPS)
    if run.masks is not None:
        mask_set.save(run.masks, folder / MASKS)
    if run.stats is not None:
        site_stats.save(run.stats, folder / SITES)
        _write_rows(run.stats.rows(), folder / SITES_TABLE)
    if run.course is not None:
        course.save(run.course, folder / FRAMES, folder / MAPS)


def picture_record(run: Run, **changes: Any) -> dict[str, Any]:
    """The part of run.json that determines a picture and is determined by it."""
    request = asdict(changes.pop("request", run.request))
    for name in ("previews", "statistics", "keep_masks"):
        request.pop(name)
    names = ("settings", "device", "dtype", "versions", "weights", "rewards", "keep_ratio", "state")
    return {"request": request, **{name: getattr(run, name) for name in names}, **changes}


def write_png(image: np.ndarray, path: Path, record: Mapping[str, Any], **more: str) -> None:
    """Write a picture whose file says how it was made, see `replay.parse`; `more` are further texts in it."""
    text = PngImagePlugin.PngInfo()
    for name, value in {replay.KEY: _json(record), **more}.items():
        text.add_itxt(name, value)
    Image.fromarray(image).save(path, "PNG", pnginfo=text)


def _json(value: Any, **options: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=_plain, **options)


def _plain(value: Any) -> Any:
    """What json cannot write: numpy numbers, mappings, paths (their name only)."""
    if isinstance(value, np.generic):
        return value.item()
    return dict(value) if isinstance(value, Mapping) else str(value)


def _write_rows(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    path.write_bytes(csv_text(rows).encode())


def read(folder: Path) -> Run:
    """Read a run back, without its masks (`mask_set.load` reads those).

    Raises:
        ValueError: the folder holds no complete run.
    """
    folder = whole.standing(folder)
    if not folder.is_dir():
        raise ValueError(f"There is no run “{folder.name}”.")
    try:
        record = replay.parse((folder / RECORD).read_bytes())
        check.check_types(record)
        base = untrusted.pixels(folder / BASE, "PNG") if (folder / BASE).is_file() else None
        stats, note = _read_stats(folder)
        record["note"] = " ".join(filter(None, (record.get("note"), note)))
        known = {f.name for f in fields(Run)}
        run = Run(
            **{name: value for name, value in record.items() if name in known - {"request"}},
            request=replay.request_of(record),
            rows=untrusted.rows(folder / STEPS),
            base_image=base,
            result_image=untrusted.pixels(folder / RESULT, "PNG"),
            stats=stats,
            course=course.load(folder / FRAMES, folder / MAPS),
        )
        check.check(run)
    except MemoryError:
        raise
    except Exception as error:  # whatever an old or a stranger's file does to those who read it
        raise ValueError(f"The run “{folder.name}” is incomplete or damaged.") from error
    return run


def _read_stats(folder: Path) -> tuple[SiteStats | None, str]:
    """A run's statistics, or none and why: the pictures can be shown without them."""
    if not (folder / SITES).is_file():
        return None, ""
    try:
        return site_stats.load(folder / SITES), ""
    except ValueError as error:
        return None, str(error)


def masks(folder: Path) -> MaskSet | None:
    """The masks that a run kept, or None.

    Raises:
        ValueError: they are damaged.
    """
    return mask_set.load(folder / MASKS) if (folder / MASKS).is_file() else None


def unzip(path: Path, folder: Path) -> Run:
    """Unpack what `run_zip` made into a new folder and read all of it; nothing stays if it is no run.

    Where another run of its id is there already, it gets a new one.

    Raises:
        ValueError: no such zip, larger than a run can be, or it holds no complete run.
    """
    with whole.telling("run"), whole.part(folder) as place:
        run = _unpacked(path, place / "run")
        if (folder / run.id).exists() and not _are_alike(place / "run", folder / run.id):
            run = replace(run, id=secrets.token_hex(6))
            (place / "run" / RECORD).write_text(_json(run.record(), indent=2) + "\n", encoding="utf-8")
        if not (folder / run.id).exists():
            (place / "run").rename(folder / run.id)
    return run


def _are_alike(one: Path, other: Path) -> bool:
    """Whether two run folders hold the same run: an id is only what its file says."""
    files = [[path for name in FILES if (path := folder / name).is_file()] for folder in (one, other)]
    same = [path.name for path in files[0]] == [path.name for path in files[1]]
    return same and all(filecmp.cmp(mine, theirs, shallow=False) for mine, theirs in zip(*files, strict=True))


def _unpacked(path: Path, fresh: Path) -> Run:
    refused = ValueError("This file is no run that was downloaded here. Give the .zip of “Download run”.")
    try:
        with untrusted.archive(path, MAX_ZIP) as archive:
            entries = [e for e in archive.infolist() if Path(e.filename).name in FILES]
            if len(entries) > len(FILES):
                raise refused
            fresh.mkdir()
            for entry in entries:  # by its last name only: a zip cannot say where its files go
                (fresh / Path(entry.filename).name).write_bytes(archive.read(entry))
        run = read(fresh)
        masks(fresh)
        if not re.fullmatch("[0-9a-f]{12}", run.id) or ((fresh / SITES).is_file() and run.stats is None):
            raise refused
    except Exception as error:  # whatever a stranger's file does to those who read it
        if whole.is_full(error):
            raise
        raise refused from error
    return run


def run_zip(folder: Path) -> Path:
    """One zip of the run's files, written inside the folder; made once.

    Raises:
        ValueError: there is no such run, or the disk is full.
    """
    if not (folder / RECORD).is_file():
        raise ValueError("This run is not on the disk any more.")
    target = folder / f"maskunet-{folder.name}.zip"
    if target.is_file():
        return target
    # Stored, not deflated: pictures and packed bits do not get smaller.
    with whole.telling("run"), whole.file(target, folder.parent) as fresh, zipfile.ZipFile(fresh, "w") as archive:
        for name in FILES:
            if (folder / name).is_file():
                archive.write(folder / name, f"{target.stem}/{name}")
    return target
