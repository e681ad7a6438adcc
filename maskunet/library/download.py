"""Get public weights from the Hugging Face Hub: only when told to, only what is needed."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from maskunet import rewards
from maskunet.evaluation import benchmarks
from maskunet.library import checkpoints
from maskunet.library.weights import VAE_FILES, model_files
from maskunet.models import SPECS
from maskunet.models.base.reading import TINY_DECODER_FILES
from maskunet.records.disk.hub import rewards_place

REWARDS = "rewards"
TINY_DECODER = "tiny_decoder"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a download would bring.

    Attributes:
        gigabytes: 10^9 bytes, if nothing of it is here yet.
        place: the folder it goes to; `flat`, straight into it rather than as a cache.
        files: (repository, revision or "" for the newest, patterns of its files).
    """

    title: str
    gigabytes: float
    place: Path
    flat: bool
    files: tuple[tuple[str, str, tuple[str, ...]], ...]


def plan(name: str) -> Plan:
    """What `download(name)` would bring, for someone to agree to.

    Raises:
        ValueError: nothing of that name can be downloaded; says what can.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    if name == REWARDS:
        specs = [spec for spec in rewards.SPECS.values() if spec.repo]
        return Plan(
            title=" and ".join(f"{spec.title} ({spec.download_gb:.1f} GB)" for spec in specs),
            gigabytes=sum(spec.download_gb for spec in specs),
            place=rewards_place(),
            flat=True,
            files=tuple((repo, "", files) for spec in specs for repo, files in (*spec.also, (spec.repo, spec.files))),
        )
    if name == TINY_DECODER:
        repos = dict.fromkeys(spec.tiny_decoder for spec in SPECS.values() if spec.tiny_decoder)
        return Plan(
            title="TAESD and TAESDXL, the tiny decoders of Stable Diffusion 1.x, 2.x and XL",
            gigabytes=0.01 * len(repos),  # 2.4 million float32 weights each
            place=Path(HF_HUB_CACHE),
            flat=False,
            files=tuple((repo, "", TINY_DECODER_FILES) for repo in repos),
        )
    if name in benchmarks.SPECS:
        networks = benchmarks.SPECS[name].networks
        return Plan(
            title=" and ".join(network.title for network in networks),
            gigabytes=sum(network.download_gb for network in networks),
            place=Path(HF_HUB_CACHE),
            flat=False,
            files=tuple((network.repo, "", network.files) for network in networks),
        )
    if name in checkpoints.SPECS:
        checkpoint = checkpoints.SPECS[name]
        return Plan(
            title=checkpoint.about,
            gigabytes=checkpoint.download_gb,
            place=Path(HF_HUB_CACHE),
            flat=False,
            files=((checkpoint.repo, "", checkpoints.FILES),),
        )
    spec = SPECS.get(name)
    if name in (each := single_rewards()):
        return _of_reward(*each[name])
    if spec is None or not spec.repo:
        names = [
            *(n for n, s in SPECS.items() if s.repo),
            REWARDS,
            *each,
            TINY_DECODER,
            *checkpoints.SPECS,
            *benchmarks.SPECS,
        ]
        raise ValueError(f"“{name}” cannot be downloaded. There are: {', '.join(names)}.")
    return Plan(
        title=spec.title,
        gigabytes=spec.download_gb,
        place=Path(HF_HUB_CACHE),
        flat=False,
        files=((spec.repo, spec.revision, model_files(spec)), *([(spec.vae, "", VAE_FILES)] if spec.vae else [])),
    )


def single_rewards() -> dict[str, tuple[rewards.base.RewardSpec, str]]:
    """The rewards with a download, and the judges, by name, such as "hpsv2" and "hpsv2-2.0"; each with its version."""
    specs = [spec for spec in (*rewards.SPECS.values(), *rewards.JUDGES.values()) if spec.repo]
    return {
        name: (spec, version)
        for spec in specs
        for version in ("", *spec.versions)
        for name in [f"{spec.name}-{version}" if version else spec.name]
    }


def _of_reward(spec: rewards.base.RewardSpec, version: str) -> Plan:
    from huggingface_hub.constants import HF_HUB_CACHE

    files = (spec.versions[version],) if version else spec.files
    return Plan(
        title=f"{spec.title} {version}".strip() + f", license: {spec.license}",
        gigabytes=spec.download_gb,
        place=Path(HF_HUB_CACHE) if spec.judge else rewards_place(),
        flat=not spec.judge,
        files=tuple((repo, "", wanted) for repo, wanted in (*spec.also, (spec.repo, files))),
    )


def download(name: str, *, consent: bool = False) -> None:
    """Download a base model, the rewards' checkpoints or a benchmark's networks, with progress bars.

    What has arrived before is not fetched again, so a broken download can be taken up.

    Args:
        name: a base model with a repository, "rewards" or a single one, "tiny_decoder", a checkpoint, or a benchmark.
        consent: that someone was told the size and agreed.

    Raises:
        ValueError: no consent, offline mode, no space, or the download broke; one sentence.
    """
    from huggingface_hub import constants, snapshot_download

    wanted = plan(name)
    size = f"The download of {wanted.title} takes {wanted.gigabytes:.2f} GB"
    if not consent:
        raise ValueError(f"{size}. To agree: python -m maskunet download {name} --yes")
    if constants.HF_HUB_OFFLINE:
        raise ValueError(f"{size}, but HF_HUB_OFFLINE is set. Unset it to download.")
    wanted.place.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(wanted.place).free / 1e9
    if free < wanted.gigabytes:
        raise ValueError(f"{size}, but only {free:.1f} GB are free where it would go.")
    for repo, revision, patterns in wanted.files:
        try:
            snapshot_download(
                repo,
                revision=revision or None,
                allow_patterns=list(patterns),
                local_dir=wanted.place if wanted.flat else None,
            )
        except Exception as error:
            raise ValueError(
                f"The download of {repo} broke ({type(error).__name__}). Check the network and run "
                "the command again: it goes on where it stopped."
            ) from error
