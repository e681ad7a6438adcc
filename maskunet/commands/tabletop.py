"""python -m maskunet tabletop ...: make the world's pictures, train its models, measure them.

Run in this order, each training with its own --minutes of a core:
scenes, autoencoder, decoder, tokenizer, latents, unet, decoded, checker, predictions, tiny_decoder,
image_reward, hpsv2, install, guidance, card, gallery, features, results. Every training resumes from its checkpoint;
`restore` begins a training folder from the shipped models, so that latents and more training of the U-Net need
no earlier checkpoint; `restore_rewards` does so for the rewards. `results` puts the evaluations under docs/results/ side by side.

For a base raised on spoiled data: restore (or `scratch`, which leaves out the U-Net and the text encoder), scenes,
`spoil` in place of latents, unet, `curve` (its pictures over guidance scales), install. Shares of what is spoiled, by
--set KEY=VALUE: other, partly and vague captions; blurred, faded, noisy, cropped and watermarked pictures. `sheet`
shows what they look like. `inspector` learns to tell them, and `inspect` measures how well it, the checker and the
rewards do.

`spotter` learns to find the subjects that no base model knows, and `spot` measures how well it does.
"""

import logging
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskunet.commands import base
from maskunet.commands.base import CommandSpec, key_value, option, seed_option
from maskunet.tabletop.place import WEB, WEIGHTS

if TYPE_CHECKING:
    from maskunet.tabletop.spoiling import Shares

RESULTS = Path("docs") / "results"
INSTALLED = ("model", "checker", "inspector", "spotter", "rewards/image_reward", "rewards/hpsv2")
SPOILED = ("web", "captions", "pictures")  # presets of `spoiling.PRESETS`, which would bring torch


def _scenes(options: "Options") -> None:
    from maskunet.tabletop import data

    data.make(options.folder / "scenes", options.shards)


def _autoencoder(options: "Options", decoder_only: bool = False) -> None:
    from maskunet.experiments.tabletop import train_autoencoder

    scenes = options.folder / "scenes"
    train_autoencoder.train(
        options.folder, scenes, minutes=options.minutes, shards=options.shards, decoder_only=decoder_only
    )


def _decoder(options: "Options") -> None:
    _autoencoder(options, decoder_only=True)


def _tokenizer(options: "Options") -> None:
    from maskunet.experiments.tabletop import tokenizer

    tokenizer.make(options.folder / "model" / "tokenizer")


def _latents(options: "Options") -> None:
    from maskunet.experiments.tabletop import latents

    latents.clean(options.folder / "vae", options.folder / "scenes", options.folder / "latents", options.shards)


def _spoil(options: "Options") -> None:
    from maskunet.experiments.tabletop import latents

    latents.spoiled(options.folder, options.shards, _shares(options), options.seed)


def _sheet(options: "Options") -> None:
    from maskunet.experiments.tabletop import spoiled_sheet

    spoiled_sheet.draw(RESULTS / "spoiled.png", options.seed)


def _shares(options: "Options") -> "Shares":
    from maskunet.plugins import chosen
    from maskunet.tabletop.spoiling import PRESETS

    return chosen(PRESETS, "The spoiled corpus", options.preset, dict(options.set))


def _unet(options: "Options") -> None:
    from maskunet.experiments.tabletop import train_unet

    train_unet.train(
        options.folder,
        options.folder / "scenes",
        options.folder / "latents",
        minutes=options.minutes,
        shards=options.shards,
    )


def _decoded(options: "Options") -> None:
    from maskunet.experiments.tabletop import pictures

    folder = options.folder
    pictures.decoded(folder / "vae", folder / "latents", folder / "decoded", options.shards)


def _checker(options: "Options") -> None:
    from maskunet.experiments.tabletop import train_checker

    decoded = options.folder / "decoded"
    train_checker.train(
        options.folder,
        options.folder / "scenes",
        decoded if decoded.exists() else None,
        minutes=options.minutes,
        shards=options.shards,
    )


def _inspector(options: "Options") -> None:
    from maskunet.experiments.tabletop import train_inspector

    train_inspector.train(options.folder, options.folder / "scenes", minutes=options.minutes, shards=options.shards)


def _spotter(options: "Options") -> None:
    from maskunet.experiments.tabletop import train_spotter

    train_spotter.train(options.folder, minutes=options.minutes)


def _spot(options: "Options") -> None:
    from maskunet.experiments.tabletop import train_spotter

    sys.stdout.write(train_spotter.measure(RESULTS / "spotter.md", n=options.n))


def _predictions(options: "Options") -> None:
    from maskunet.experiments.tabletop import pictures

    pictures.predictions(options.folder, options.shards)


def _tiny_decoder(options: "Options") -> None:
    from maskunet.experiments.tabletop import train_tiny_decoder

    train_tiny_decoder.train(options.folder, minutes=options.minutes, shards=options.shards)


def _image_reward(options: "Options") -> None:
    from maskunet.experiments.tabletop import train_rewards

    train_rewards.train_image_reward(options.folder, minutes=options.minutes, shards=options.shards)


def _hpsv2(options: "Options") -> None:
    from maskunet.experiments.tabletop import train_rewards

    train_rewards.train_hpsv2(options.folder, minutes=options.minutes, shards=options.shards)


def _guidance(options: "Options") -> None:
    from maskunet.experiments.tabletop import measure

    measure.guidance_curve(RESULTS, n=options.n)


def _curve(options: "Options") -> None:
    from maskunet.experiments.tabletop import measure_spoiled

    sys.stdout.write(measure_spoiled.curve(options.folder, n=options.n))


def _inspect(options: "Options") -> None:
    from maskunet.experiments.tabletop import measure_spoiled

    sys.stdout.write(measure_spoiled.judge(RESULTS / "judges.md", n=options.n))


def _card(options: "Options") -> None:
    from maskunet.experiments.tabletop import measure

    measure.card(RESULTS, n=options.n)


def _gallery(options: "Options") -> None:
    from maskunet.experiments.tabletop import gallery

    gallery.make(Path("examples") / "gallery")


def _results(options: "Options") -> None:
    from maskunet.experiments.tabletop import measure_results

    for model, folder in (("tabletop", "evaluations"), ("tabletop_web", "evaluations_web")):
        measure_results.write(RESULTS / folder, model)


def _features(options: "Options") -> None:
    from maskunet.experiments.tabletop import measure_features

    measure_features.make(options.folder / "features", Path("examples") / "features", n=options.n)


def _install(options: "Options") -> None:
    """Put the trained models that the folder holds where the package finds them.

    Raises:
        ValueError: it holds none, or a base raised on spoiled data whose guidance was not measured.
    """
    folder = options.folder
    names = [name for name in INSTALLED if (folder / name).is_dir()]
    if not names:
        raise ValueError(f"“{folder.name}” holds none of {', '.join(INSTALLED)}. Train one first.")
    from maskunet.experiments.tabletop import train_unet

    if "model" in names and train_unet.shares(folder / "model"):
        _install_web(folder)
        names.remove("model")
    for name in names:
        _put(folder / name, WEIGHTS / Path(name).name)


def _install_web(folder: Path) -> None:
    """The model without what was made for tabletop's U-Net, which means nothing on this one, and its guidance."""
    measured = ("guidance.json", "curve.json", "curve.md")
    if not all((folder / name).is_file() for name in measured):
        raise ValueError(
            "Its guidance was not measured yet. Run: python -m maskunet tabletop curve, with its --folder."
        )
    _put(folder / "model", WEB / "model", without=("generators", "masks"))
    for name in measured:
        shutil.copy(folder / name, WEB / name)


def _put(source: Path, target: Path, without: tuple[str, ...] = ()) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*without))


def _restore(options: "Options") -> None:
    """Begin a training folder from the shipped models, where the checkpoints are gone."""
    from maskunet.experiments.tabletop.train_unet import RECORD

    own = shutil.ignore_patterns(RECORD)  # of the training that made it, not of the one that begins
    shutil.copytree(WEIGHTS / "model", options.folder / "model", dirs_exist_ok=True, ignore=own)
    shutil.copytree(WEIGHTS / "model" / "vae", options.folder / "vae", dirs_exist_ok=True)


def _restore_rewards(options: "Options") -> None:
    """Let the trainings of the rewards go on from the shipped ones."""
    for name in ("image_reward", "hpsv2"):
        shutil.copytree(WEIGHTS / name, options.folder / "began" / name, dirs_exist_ok=True)


def _scratch(options: "Options") -> None:
    """Begin a training folder from the shipped autoencoder and tokenizer alone."""
    shutil.copytree(WEIGHTS / "model" / "tokenizer", options.folder / "model" / "tokenizer", dirs_exist_ok=True)
    shutil.copytree(WEIGHTS / "model" / "vae", options.folder / "vae", dirs_exist_ok=True)


STEPS = {
    "restore": _restore,
    "restore_rewards": _restore_rewards,
    "scratch": _scratch,
    "scenes": _scenes,
    "autoencoder": _autoencoder,
    "decoder": _decoder,
    "tokenizer": _tokenizer,
    "latents": _latents,
    "spoil": _spoil,
    "sheet": _sheet,
    "unet": _unet,
    "decoded": _decoded,
    "checker": _checker,
    "inspector": _inspector,
    "spotter": _spotter,
    "predictions": _predictions,
    "tiny_decoder": _tiny_decoder,
    "image_reward": _image_reward,
    "hpsv2": _hpsv2,
    "curve": _curve,
    "inspect": _inspect,
    "spot": _spot,
    "install": _install,
    "guidance": _guidance,
    "card": _card,
    "gallery": _gallery,
    "features": _features,
    "results": _results,
}


@dataclass(frozen=True, kw_only=True)
class Options(base.Options):
    step: str = option(choices=tuple(STEPS), positional=True)
    folder: Path = option(Path("training"), "scenes, checkpoints, logs", writes="folder")
    minutes: float = option(20.0, "time box of a training", low=0.001)
    shards: int = option(20, "thousands of rendered scenes", low=1)
    threads: int = option(0, "0 lets torch choose", low=0, high=1024)
    n: int = option(100, "images per task when measuring", low=1)
    preset: str = option("web", "what is spoiled", choices=SPOILED)
    set: dict[str, Any] = option({}, "a share of it", metavar="KEY=VALUE", read=key_value, repeat=dict)
    seed: int = seed_option(0, "of what is spoiled")


def run(options: Options) -> None:
    """Run one step.

    Raises:
        ValueError: what an earlier step makes is missing.
    """
    logging.getLogger("maskunet").setLevel(logging.INFO)  # other commands show warnings only
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    STEPS[options.step](options)


SPEC = CommandSpec(
    name="tabletop",
    title="make and train the embedded world (tabletop --help)",
    about=__doc__,
    options=Options,
    run=run,
)
