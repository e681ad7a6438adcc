"""What the Hugging Face cache holds of a repository, weights that are missing, and a file's hash."""

import hashlib
import re
from pathlib import Path


class MissingWeights(ValueError):
    """The weights are not on this machine; the message says their size and how to get them."""


def rewards_place() -> Path:
    """Where downloaded rewards lie, beside the Hugging Face cache."""
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME) / "maskunet" / "rewards"


def snapshot(repo: str, revision: str = "", file: str = "") -> Path | None:
    """The repository's folder in the Hugging Face cache, as far as it has arrived; never downloads.

    Args:
        file: one that must have arrived, or there is no folder.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(repo, revision=revision or None, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    return folder if (folder / file).exists() else None


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    stored = path.resolve().name
    if path.is_symlink() and re.fullmatch("[0-9a-f]{64}", stored):
        return stored  # the Hugging Face cache names large files so: no need to read 4 GB
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
