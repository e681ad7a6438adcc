"""What the base models take that are not on this machine, for whoever wants to use them."""

from maskunet.library.download import REWARDS, plan
from maskunet.library.library import Library
from maskunet.library.weights import reward_folders
from maskunet.models import SPECS
from maskunet.models.base import ModelSpec
from maskunet.records import Setup
from maskunet.records.disk.hub import MissingWeights
from maskunet.studio.doctor import CARD, SPARING


def setups(library: Library) -> list[Setup]:
    """One for each base model with a download that lacks its weights or its rewards here."""
    found = []
    for spec in SPECS.values():
        lacking = _lacking(spec, library) if spec.repo else []
        if lacking:
            plans = [plan(name) for name in lacking]
            sizes = (f" ({spec.download_gb:.1f} GB)" if name == spec.name else "" for name in lacking)
            setup = Setup(
                title=spec.title,
                license=spec.license,
                missing=tuple(f"{each.title}{size}" for each, size in zip(plans, sizes, strict=True)),
                gigabytes=sum(each.gigabytes for each in plans),
                commands=tuple(f"python -m maskunet download {name}" for name in lacking),
                needs=f"Needs a CUDA GPU with {CARD:g} GB, or {SPARING:g} GB with “less memory”.",
            )
            found.append(setup)
    return found


def _lacking(spec: ModelSpec, library: Library) -> list[str]:
    """The names of the downloads that it needs and that are not here."""
    try:
        reward_folders(spec)
        rewards = []
    except MissingWeights:
        rewards = [REWARDS]
    return [*([spec.name] if library.missing(spec.name) else []), *rewards]
