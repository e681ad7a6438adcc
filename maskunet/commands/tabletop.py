"""python -m maskunet tabletop ...: make the world's pictures, train its models, measure them.

Run in this order, each with its own --minutes (0 for what is not trained):
scenes, autoencoder, decoder, tokenizer, latents, unet, decoded, checker, predictions, tiny_decoder,
image_reward, hpsv2, install, guidance, card, gallery, features, results. Every training resumes from its checkpoint;
`restore` begins a training folder from the shipped models, so that latents and more training of the U-Net need
no earlier checkpoint. `results` puts the evaluations under docs/results/ side by side.
"""

import argparse
import logging
from pathlib import Path

from maskunet.tabletop.place import WEIGHTS

RESULTS = Path("docs") / "results"


def main(argv: list[str]) -> int:
    """Parse `argv` and run one step."""
    parser = argparse.ArgumentParser(prog="maskunet tabletop", description=__doc__)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--folder", type=Path, default=Path("training"), help="scenes, checkpoints, logs")
    parser.add_argument("--minutes", type=float, default=20.0, help="time box of a training")
    parser.add_argument("--shards", type=int, default=20, help="thousands of rendered scenes")
    parser.add_argument("--threads", type=int, default=0, help="0 lets torch choose")
    parser.add_argument("--n", type=int, default=100, help="images per task when measuring")
    args = parser.parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(message)s")
    logging.getLogger("maskunet").setLevel(logging.INFO)  # the command line shows warnings only
    if args.threads:
        import torch

        torch.set_num_threads(args.threads)
    STEPS[args.step](args)
    return 0


def _scenes(args: argparse.Namespace) -> None:
    from maskunet.tabletop import data

    data.make(args.folder / "scenes", args.shards)


def _autoencoder(args: argparse.Namespace, decoder_only: bool = False) -> None:
    from maskunet.experiments.tabletop import train_autoencoder

    scenes = args.folder / "scenes"
    train_autoencoder.train(
        args.folder, scenes, minutes=args.minutes, shards=args.shards, decoder_only=decoder_only
    )


def _decoder(args: argparse.Namespace) -> None:
    _autoencoder(args, decoder_only=True)


def _tokenizer(args: argparse.Namespace) -> None:
    from maskunet.experiments.tabletop import tokenizer

    tokenizer.make(args.folder / "model" / "tokenizer")


def _latents(args: argparse.Namespace) -> None:
    from maskunet.experiments.tabletop import train_unet

    train_unet.encode(args.folder / "vae", args.folder / "scenes", args.folder / "latents", args.shards)


def _unet(args: argparse.Namespace) -> None:
    from maskunet.experiments.tabletop import train_unet

    train_unet.train(
        args.folder, args.folder / "scenes", args.folder / "latents", minutes=args.minutes, shards=args.shards
    )


def _decoded(args: argparse.Namespace) -> None:
    from maskunet.experiments.tabletop import pictures

    folder = args.folder
    pictures.decoded(folder / "vae", folder / "latents", folder / "decoded", args.shards)


def _checker(args: argparse.Namespace) -> None:
    from maskunet.experiments.tabletop import train_checker

    decoded = args.folder / "decoded"
    train_checker.train(
        args.folder, args.folder / "scenes", decoded if decoded.exists() else None,
        minutes=args.minutes, shards=args.shards,
    )  # fmt: skip


def _predictions(args: argparse.Namespace) -> None:
    from maskunet.experiments.tabletop import pictures

    pictures.predictions(args.folder, args.shards)


def _tiny_decoder(args: argparse.Namespace) -> None:
    from maskunet.experiments.tabletop import train_tiny_decoder

    train_tiny_decoder.train(args.folder, minutes=args.minutes, shards=args.shards)


def _image_reward(args: argparse.Namespace) -> None:
    from maskunet.experiments.tabletop import train_rewards

    train_rewards.train_image_reward(args.folder, minutes=args.minutes, shards=args.shards)


def _hpsv2(args: argparse.Namespace) -> None:
    from maskunet.experiments.tabletop import train_rewards

    train_rewards.train_hpsv2(args.folder, minutes=args.minutes, shards=args.shards)


def _guidance(args: argparse.Namespace) -> None:
    from maskunet.experiments.tabletop import measure

    measure.guidance_curve(WEIGHTS, RESULTS, n=args.n)


def _card(args: argparse.Namespace) -> None:
    from maskunet.experiments.tabletop import measure

    measure.card(WEIGHTS, RESULTS, n=args.n)


def _gallery(args: argparse.Namespace) -> None:
    from maskunet.experiments.tabletop import measure

    measure.gallery(Path("examples") / "gallery")


def _results(args: argparse.Namespace) -> None:
    from maskunet.experiments.tabletop import measure_results

    measure_results.write(RESULTS / "evaluations")


def _features(args: argparse.Namespace) -> None:
    from maskunet.experiments.tabletop import measure_features

    measure_features.make(args.folder / "features", Path("examples") / "features" / "tabletop.npz", n=args.n)


def _install(args: argparse.Namespace) -> None:
    """Put the trained models where the package finds them."""
    import shutil

    for name in ("model", "checker", "rewards/image_reward", "rewards/hpsv2"):
        target = WEIGHTS / Path(name).name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(args.folder / name, target)


def _restore(args: argparse.Namespace) -> None:
    """Begin a training folder from the shipped models, where the checkpoints are gone."""
    import shutil

    shutil.copytree(WEIGHTS / "model", args.folder / "model", dirs_exist_ok=True)
    shutil.copytree(WEIGHTS / "model" / "vae", args.folder / "vae", dirs_exist_ok=True)


STEPS = {
    "restore": _restore,
    "scenes": _scenes,
    "autoencoder": _autoencoder,
    "decoder": _decoder,
    "tokenizer": _tokenizer,
    "latents": _latents,
    "unet": _unet,
    "decoded": _decoded,
    "checker": _checker,
    "predictions": _predictions,
    "tiny_decoder": _tiny_decoder,
    "image_reward": _image_reward,
    "hpsv2": _hpsv2,
    "install": _install,
    "guidance": _guidance,
    "card": _card,
    "gallery": _gallery,
    "features": _features,
    "results": _results,
}
