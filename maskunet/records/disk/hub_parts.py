"""What was trained elsewhere and lies on the Hugging Face Hub, as hf://OWNER/NAME: looked at from afar, then fetched.

Only what the owner of this machine types comes here, commands and Python; the page takes names of what is here already.
"""

import hashlib
import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from maskunet.records import held_mask
from maskunet.records.disk import hub, trained_file, whole
from maskunet.records.held_mask import FILE, NAME

ADDRESS = re.compile(r"hf://([A-Za-z0-9][\w.-]*)/([A-Za-z0-9][\w.-]*)", re.ASCII)
MOST = 4 * 2**30  # bytes; a whole U-Net of Stable Diffusion 1.5 has 3.4 * 10^9
ORIGIN = "hub.json"  # beside a fetched file: where it is from
PATIENCE = 10  # seconds that the Hub may take to answer


def here(given: Any, trained: Path, model: str) -> Any:
    """What was given, with every hf://OWNER/NAME in it replaced by the name under which it lies on this machine now.

    Args:
        given: a text, or several in a list, a tuple or as a mapping's values; anything else comes back as it is.
        trained, model: see `fetch`.

    Raises:
        ValueError: see `fetch`.
    """
    if isinstance(given, str):
        return ADDRESS.sub(lambda found: fetch(found[0], trained, model), given)
    if isinstance(given, Mapping):
        return {key: here(value, trained, model) for key, value in given.items()}
    return type(given)(here(value, trained, model) for value in given) if isinstance(given, list | tuple) else given


def mentions(given: Any) -> bool:
    """Whether `here` would fetch something."""
    several = given.values() if isinstance(given, Mapping) else given if isinstance(given, list | tuple) else [given]
    return any(isinstance(each, str) and ADDRESS.search(each) for each in several)


def fetch(address: str, trained: Path, model: str, again: bool = False) -> str:
    """Bring a trained part into trained/MODEL, whole or not at all; it is then one like those that were trained here.

    Args:
        trained: folder of what was trained. model: name of the base model that it is for.
        again: also if it is here already.

    Returns:
        Its name there, OWNER--NAME.

    Raises:
        ValueError: it cannot be reached, or is none; says why.
    """
    name = local_name(address)
    place = trained / model / name
    if again or not (place / FILE).is_file():
        path, revision = _download(address)
        with whole.telling("trained part"), whole.folder(place) as fresh:
            shutil.copyfile(path, fresh / FILE)
            (fresh / ORIGIN).write_text(json.dumps({"repository": address, "revision": revision}), encoding="utf-8")
        sys.stderr.write(f"Fetched {address} ({path.stat().st_size / 1e6:.1f} MB); here it is called {name}.\n")
    return name


def cached(address: str) -> Path:
    """The file of a trained part in the Hugging Face cache, downloaded if it is not there.

    Raises:
        ValueError: see `fetch`.
    """
    folder = hub.snapshot("/".join(_parts(address)), file=FILE)
    return folder / FILE if folder else _download(address)[0]


def local_name(address: str) -> str:
    """Under which name it lies here: OWNER--NAME, shortened where that is too long for a name.

    Raises:
        ValueError: it is no address.
    """
    name = "--".join(_parts(address))
    return name if NAME.fullmatch(name) else f"{name[:55]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _parts(address: str) -> tuple[str, str]:
    found = ADDRESS.fullmatch(address)
    if not found:
        raise ValueError(f"“{address:.80}” is no address. It is written hf://OWNER/NAME.")
    return found.groups()


def _download(address: str) -> tuple[Path, str]:
    """The file in the Hugging Face cache and its revision; a stranger's is refused before its bytes are fetched."""
    from huggingface_hub import HfApi, constants, hf_hub_download

    repo = "/".join(_parts(address))
    if constants.HF_HUB_OFFLINE:
        raise ValueError(f"“{address}” is not on this machine, and HF_HUB_OFFLINE is set. Unset it to fetch it.")
    api = HfApi(endpoint=constants.ENDPOINT)
    with telling(address):
        info = api.model_info(repo, files_metadata=True, timeout=PATIENCE)
    size = _size(address, {each.rfilename: each.size for each in info.siblings or ()})
    with telling(address):
        entries = api.parse_safetensors_file_metadata(repo, FILE, revision=info.sha).metadata
    if not any(trained_file.FORM.fullmatch(entry) for entry in entries or ()):
        raise ValueError(f"The file of “{address}” is no mask, mask generator or fine-tuned U-Net of this program.")
    with telling(address):
        got = Path(hf_hub_download(repo, FILE, revision=info.sha, endpoint=constants.ENDPOINT))
    if got.stat().st_size != size or not _whole(got):
        blob = got.resolve()
        got.unlink()
        blob.unlink(missing_ok=True)
        raise ValueError(f"The file of “{address}” is damaged, or not what its header says. It was not kept.")
    return got, str(info.sha)


def _size(address: str, files: Mapping[str, int | None]) -> int:
    size = files.get(FILE)
    if FILE not in files or size is None:
        raise ValueError(f"“{address}” holds no {FILE}, so nothing that was trained with this program.")
    if size > MOST:
        raise ValueError(
            f"The file of “{address}” has {size / 1e9:.1f} GB; at most {MOST / 1e9:.1f} GB are fetched this way."
        )
    return size


def _whole(path: Path) -> bool:
    """Whether all of it is there, and its header can be read."""
    kinds = trained_file.kinds(path)
    if "mask" in kinds:
        with suppress(ValueError):
            return bool(held_mask.recipe(path))
    return bool(kinds) and "mask" not in kinds


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Turn what the Hub and the network can do to us into one sentence.

    Args:
        what: is asked for, an address or a repository.

    Raises:
        ValueError: it is not there, not ours to see, or cannot be reached.
    """
    from huggingface_hub import errors

    try:
        yield
    except (errors.SafetensorsParsingError, errors.NotASafetensorsRepoError) as error:
        raise ValueError(f"The file of “{what}” is no safetensors file. Nothing of it was read.") from error
    except errors.GatedRepoError as error:
        raise ValueError(f"“{what}” is given on request only. Ask for it on its page, then: hf auth login") from error
    except errors.RepositoryNotFoundError as error:
        raise ValueError(
            f"There is no “{what}”, or it is private. Check the name; for your own: hf auth login"
        ) from error
    except errors.HfHubHTTPError as error:
        code = getattr(error.response, "status_code", "no answer")
        why = {401: " The token is not valid: hf auth login.", 403: " The token may not do this: hf auth login."}
        raise ValueError(f"The Hub refused “{what}” ({code}).{why.get(code, ' Try again later.')}") from error
    except errors.HFValidationError as error:
        raise ValueError(f"“{what}” is no name that the Hub knows.") from error
    except Exception as error:  # each part of the network breaks in its own way
        if isinstance(error, OSError) and whole.is_full(error):
            raise
        raise ValueError(
            f"The Hub could not be reached for “{what}” ({type(error).__name__}). Check the network and try again."
        ) from error
