"""A trained part made ready for the Hugging Face Hub, and given to it: a folder with its file and its card."""

import csv
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskunet.library.library import Library
from maskunet.library.model_card import Part, card, header, license_of
from maskunet.prompts.rows import text_of
from maskunet.records.disk import hub_parts, trained_file, whole
from maskunet.records.disk.hub import file_hash
from maskunet.records.held_mask import FILE

CARD = "README.md"
NOBODY = "OWNER"  # in the card of a folder that nobody has given a place yet
OURS = {FILE, CARD, ".gitattributes"}  # what such a repository holds
TRAINING, LOG = "training.json", "log.csv"  # of `training.checkpoint`


def find(library: Library, name: str, evaluations: Sequence[Mapping[str, Any]] = ()) -> Part:
    """The trained part of that name of the library's default model, and what is known of it.

    Args:
        evaluations: records of `experiments.evaluate`.

    Raises:
        ValueError: there is none, or two of that name; or an evaluation is of something else.
    """
    parts = library.parts(library.default)
    there = {files[name]: None for files in parts.values() if name in files}
    if len(there) != 1:
        names = ", ".join(sorted({each for files in parts.values() for each in files})) or "none"
        many = "Several trained parts are" if there else "There is no trained part"
        raise ValueError(f"{many} called “{name:.80}” for {library.default}. There are: {names}.")
    (path,) = there
    kinds = trained_file.kinds(path)
    if trained_file.EMBEDDING in kinds:
        raise ValueError(f"“{name}” holds a word, which push cannot upload. Upload its file with: hf upload")
    digest = file_hash(path)
    for record in evaluations:
        if digest not in dict(record["about"].get("weights", {})).values():
            raise ValueError(
                f"An evaluation was not made with this file of “{name}”, or before evaluations noted it. Make it again: "
                "python -m maskunet evaluate --help"
            )
    training = _json(path.parent / TRAINING) if path.name == FILE else {}
    exam = _exam(path.parent / LOG, training.get("kept"))
    about = header(path, kinds[0])
    return Part(name=name, path=path, kinds=kinds, about=about, training=training, exam=exam, evaluations=evaluations)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _exam(log: Path, step: Any) -> dict[str, float]:
    """What a training measured of the checkpoint whose part was kept, where that was by captions held out."""
    if not step or not log.is_file():
        return {}
    with log.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row.get("step") == str(step)]
    found = json.loads(rows[-1]["figures"]) if rows else {}
    measured = [name.removesuffix("_change") for name in found if name.endswith("_change")]
    both = [f"{name}_{what}" for name in measured for what in ("change", "error") if f"{name}_error" in found]
    return {name: found[name] for name in both if found[name] == found[name]}


def write(library: Library, part: Part, repo: str, folder: Path, license_id: str = "") -> bool:
    """Write the folder: the file, and its card. One that was written before, of this very file, is left as it is.

    Returns:
        Whether it was written now.

    Raises:
        ValueError: the folder holds something else, or nobody says under which license the part is given.
    """
    if folder.exists():
        _check(part, repo, folder)
        return False
    base = library.spec(library.default)
    text = card(part, base, repo, license_of(base, license_id))
    with whole.telling("folder"), whole.folder(folder) as fresh:
        shutil.copyfile(part.path, fresh / FILE)
        (fresh / CARD).write_text(text, encoding="utf-8")
    return True


def _check(part: Part, repo: str, folder: Path) -> None:
    """Refuse a folder of another part, or whose card names another place; one that names nobody's names this one now."""
    both = (folder / CARD).is_file() and (folder / FILE).is_file()
    if not both or file_hash(folder / FILE) != file_hash(part.path):
        raise ValueError(f"“{folder.name}” is there and holds something else. Give another --out, or delete it.")
    text = text_of(folder / CARD)  # somebody may have saved it in another way
    filled = re.sub(rf"hf://{NOBODY}/[\w.-]+", f"hf://{repo}", text)
    if f"hf://{repo}" not in filled:
        raise ValueError(
            f"The card in “{folder.name}” names another place than {repo}. Correct it, or delete the folder."
        )
    if filled != text:
        whole.write(folder / CARD, filled)


def default_repo(library: Library, part: Part) -> str:
    """Where a part goes if nobody says: to whoever's token is here, as MODEL-NAME.

    Raises:
        ValueError: as `upload`.
    """
    from huggingface_hub import HfApi, constants

    token = _token()
    with hub_parts.telling("your account"):
        return f"{HfApi(endpoint=constants.ENDPOINT, token=token).whoami()['name']}/{library.default}-{part.name}"


def upload(folder: Path, repo: str, private: bool = False) -> str:
    """Give a folder that `write` made to the Hub, in one commit; a repository that is not there is made.

    Returns:
        Its address for a browser.

    Raises:
        ValueError: no token, the Hub cannot be reached or refuses, or the repository holds something else.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import RepositoryNotFoundError

    api, there = HfApi(endpoint=constants.ENDPOINT, token=_token()), set()
    with hub_parts.telling(repo):
        try:
            there = {each.rfilename for each in api.model_info(repo, timeout=hub_parts.PATIENCE).siblings or ()}
        except RepositoryNotFoundError:
            api.create_repo(repo, private=private or None)
    if others := sorted(there - OURS):
        raise ValueError(f"“{repo}” holds something else, such as {others[0]:.60}. Give another name with --to.")
    with hub_parts.telling(repo):
        api.upload_folder(repo_id=repo, folder_path=folder, allow_patterns=[FILE, CARD], commit_message="Upload")
    return f"{constants.ENDPOINT}/{repo}"


def _token() -> str:
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise ValueError("HF_HUB_OFFLINE is set, so nothing can be uploaded. Unset it, or add --dry-run.")
    if token := get_token():
        return token
    raise ValueError("There is no Hugging Face token on this machine. Log in with one that may write: hf auth login")
