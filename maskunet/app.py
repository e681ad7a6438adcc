"""Launch the lab: parse the flags, build the studio and the page. `maskunet-lab --help` lists the flags."""

import argparse
import ipaddress
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from maskunet import plugins
from maskunet.machine import prepare

with suppress(ImportError):
    import spaces  # noqa: F401, of Spaces with a shared GPU; must come before torch and gradio

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported
# Statistics for its monitoring, which is off: computed after each call, they would take a core from a busy page.
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
prepare()

PASSWORD = 8  # characters at least


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The launch flags."""
    parser = argparse.ArgumentParser(description="MaskUNet Lab, a page on this computer.")
    models = ", ".join(plugins.names("maskunet.models"))
    parser.add_argument("--model", default="auto", help=f"{models}; auto chooses")
    parser.add_argument("--weights", type=Path, help="a Stable Diffusion folder to read instead")
    parser.add_argument("--device", help="cuda, mps or cpu; by default the best one here")
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(os.environ.get("GRADIO_SERVER_PORT", "7860")))
    parser.add_argument("--share", action="store_true", help="a public link; needs --auth or --open")
    login = {"default": os.environ.get("MASKUNET_AUTH"), "metavar": "NAME:PASSWORD"}
    parser.add_argument("--auth", **login, help="ask visitors for this login; MASKUNET_AUTH hides it from ps")
    parser.add_argument("--open", action="store_true", help="let in anyone who reaches the page")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where run folders go")
    parser.add_argument("--images", type=Path, help="folder whose folders of pictures the page may compare")
    args = parser.parse_args(argv)
    space = "SPACE_ID" in os.environ  # public by its nature
    args.alone = not (args.share or space) and is_loopback(args.host)
    if not (args.alone or space or args.auth or args.open):
        reach = "--share" if args.share else f"--host {args.host}"
        parser.error(f"{reach} lets others reach the page; give --auth NAME:PASSWORD, or --open to all")
    name, _, password = (args.auth or "").partition(":")
    if args.auth is not None and not (name.strip() and len(password) >= PASSWORD):
        parser.error(f"--auth takes NAME:PASSWORD, the password of at least {PASSWORD} characters")
    args.login = (name.strip(), password) if args.auth else None
    if args.images and not args.images.is_dir():
        parser.error(f"--images takes a folder that holds folders of pictures; “{args.images.name}” is none")
    return args


def is_loopback(host: str) -> bool:
    """Whether only this computer reaches that address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def launch(args: argparse.Namespace, **options: object) -> tuple[object, object]:
    """Start the lab; returns the gradio app and the studio."""
    from maskunet.studio.studio import Studio
    from maskunet.ui.server.launch import launch as serve

    images, runs = args.images and args.images.resolve(), args.runs.resolve()
    # A visitor from elsewhere must not train here.
    studio = Studio(runs, args.model, args.weights, args.device, images=images, trains=args.alone)
    places = {"host": args.host, "port": args.port, "runs": runs}
    return serve(studio, **places, share=args.share, login=args.login, **options), studio


def main() -> None:
    """Run until interrupted."""
    os.environ.setdefault("GRADIO_TEMP_DIR", str(Path(tempfile.gettempdir()) / "maskunet-lab"))
    try:
        _, studio = launch(arguments())  # returns when it is interrupted
    except KeyboardInterrupt:
        raise SystemExit("Stopped while starting.") from None
    studio.close()


if __name__ == "__main__":
    main()
