"""python -m maskunet push: give a trained part or a kept mask to the Hugging Face Hub, with a card."""

import sys
from dataclasses import dataclass
from pathlib import Path

from maskunet.commands.base import BareModelOptions, CommandSpec, option


@dataclass(frozen=True, kw_only=True)
class Options(BareModelOptions):
    name: str = option(
        help="of a kept mask, a mask generator, a LoRA or a fine-tuned U-Net of --model", positional=True
    )
    to: str = option("", "OWNER/NAME on the Hub; by default your account and MODEL-NAME")
    evaluation: tuple[Path, ...] = option(
        (), "a folder of `evaluate` with this part, for the card; once for each", metavar="DIR", read=Path, repeat=tuple
    )
    license: str = option("", "as the Hub calls it; the base model's if left out")
    private: bool = option(False, "a repository that is made now is yours alone")
    out: Path | None = option(None, "the folder that is uploaded; by default pushed/MODEL-NAME", writes="folder")
    dry_run: bool = option(False, "write the folder, and upload nothing")
    yes: bool = option(False, "agree to the upload")


def run(options: Options) -> None:
    """Write the folder, tell what it holds, and upload it once that is agreed to.

    Raises:
        ValueError: no such part, nobody agreed, no token, or the Hub refuses; says what to do.
    """
    from maskunet.experiments import evaluate
    from maskunet.library import push
    from maskunet.library.library import Library
    from maskunet.records.disk import hub_parts

    library = Library(options.model, options.weights, options.device or "cpu")
    part = push.find(library, options.name, [evaluate.record(folder) for folder in options.evaluation])
    short = f"{library.default}-{part.name}"
    repo = options.to or (f"{push.NOBODY}/{short}" if options.dry_run else push.default_repo(library, part))
    hub_parts.local_name(f"hf://{repo}")  # which knows what an address may be
    folder = options.out or Path("pushed") / short
    fresh = push.write(library, part, repo, folder, options.license)
    sizes = ", ".join(f"{path.name} ({path.stat().st_size / 1e6:.2f} MB)" for path in sorted(folder.iterdir()))
    sys.stdout.write(f"{folder}: {sizes}{'' if fresh else '; as it was'}\nIt goes to {repo}.\n")
    if options.dry_run:
        sys.stdout.write("Nothing was uploaded. Without --dry-run this folder is, with what you change in its card.\n")
        return
    agreed = options.yes
    if not agreed and sys.stdin.isatty():
        agreed = input(f"Upload it to {repo}? [yes/N] ").strip().lower() == "yes"
    if not agreed:
        raise ValueError(f"Nothing was uploaded. To agree: python -m maskunet push {part.name} --to {repo} --yes")
    sys.stdout.write(f"Uploaded: {push.upload(folder, repo, options.private)}\n")


SPEC = CommandSpec(
    name="push", title="give a trained part to the Hugging Face Hub, with a card", options=Options, run=run
)
