"""python -m maskunet download: get weights that are not embedded."""

import argparse
import sys


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    from maskunet.library import download

    plan = download.plan(args.name)
    agreed = args.yes
    if not agreed and sys.stdin.isatty():
        answer = input(f"{plan.title}: {plan.gigabytes:.2f} GB to {plan.place}. Download? [y/N] ")
        agreed = answer.strip().lower() in ("y", "yes")
    download.download(args.name, consent=agreed)
    sys.stdout.write(f"{plan.title} is on this machine.\n")
