"""How to make a run again outside the page, as texts to copy: a call from Python or with curl, or its record replayed."""

import json
import shlex
from pathlib import Path

from maskunet.records import Request, Run
from maskunet.ui import gallery, links


def python(asked: Request, address: str) -> str:
    """The Python client's call that makes this run, of a page at that address."""
    given = "".join(f"    {name}={value!r},\n" for name, value in _known(asked).items())
    return (
        "from gradio_client import Client\n\n"
        f'client = Client("{address}")\n'
        f"base, result, facts = client.predict(\n{given}    api_name='/compare',\n)"
    )


def curl(asked: Request, address: str) -> str:
    """The same call from a shell: it is told the job's id, then follows the job."""
    sent = shlex.quote(json.dumps(_known(asked), ensure_ascii=False))
    return (
        f"id=$(curl -s {address}/gradio_api/call/v2/compare \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d {sent} | cut -d'\"' -f4)\n"
        f"curl -sN {address}/gradio_api/call/compare/$id"
    )


def replay(run: Run) -> str:
    """The command that makes the same bytes of the run's record, as its zip or the project holds it."""
    folder = gallery.folder(run.id)
    where = Path("examples/gallery", folder.name) if folder else Path(f"maskunet-{run.id}")
    return f"python -m maskunet generate --replay {shlex.quote((where / 'run.json').as_posix())} --out again"


def _known(asked: Request) -> dict:
    """The arguments of the call; nothing is said of what is empty."""
    known = {name: list(v) if isinstance(v, tuple) else v for name, v in links.fields(asked).items()}
    if not asked.loras:
        del known["lora_masks"]
    return {name: value for name, value in known.items() if value not in ("", None, {}, [])}
