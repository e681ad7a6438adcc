"""Launch the lab: parse the flags, build the studio and the page. `maskunet-lab --help` lists the flags."""

import argparse
import atexit
import inspect
import ipaddress
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from maskunet import plugins
from maskunet.machine import address, check_listening, port_of, prepare

with suppress(ImportError):
    import spaces  # noqa: F401, of Spaces with a shared GPU; must come before torch and gradio

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported
# Statistics for its monitoring, which is off: computed after each call, they would take a core from a busy page.
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
prepare()

PASSWORD = 8  # characters at least
PATIENCE = 7  # seconds after Ctrl+C, of which work under way has five to end in


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The launch flags."""
    parser = argparse.ArgumentParser(description="MaskUNet Lab, a page on this computer.")
    models = ", ".join(plugins.names("maskunet.models"))
    parser.add_argument("--model", default="auto", help=f"{models}; auto chooses")
    parser.add_argument("--weights", type=Path, help="read this instead: a .safetensors file, a folder, or OWNER/NAME")
    parser.add_argument("--models", type=Path, help="folder of models of your own, files or folders, to choose from")
    parser.add_argument("--device", help="cuda, mps or cpu; by default the best one here")
    host, port = address()
    parser.add_argument("--host", default=host)
    parser.add_argument("--port", default=port, help="where it listens, from 1 to 65535; by default 7860")
    behind = {"action": "append", "default": [], "metavar": "ADDRESS"}
    parser.add_argument(
        "--proxy", **behind, help="a reverse proxy that says who asks; needs --auth or --open; see docs/proxies.md"
    )
    path = {"default": os.environ.get("GRADIO_ROOT_PATH", ""), "metavar": "/PATH"}
    parser.add_argument("--root-path", **path, help="where visitors find the page behind the proxy")
    parser.add_argument("--share", action="store_true", help="a public link; needs --auth or --open")
    login = {"default": os.environ.get("MASKUNET_AUTH"), "metavar": "NAME:PASSWORD"}
    parser.add_argument("--auth", **login, help="ask visitors for this login; MASKUNET_AUTH hides it from ps")
    parser.add_argument("--open", action="store_true", help="let in anyone who reaches the page")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where run folders go")
    parser.add_argument("--images", type=Path, help="folder whose folders of pictures the page may compare")
    voted = {"type": Path, "metavar": "DIR", "default": os.environ.get("MASKUNET_VOTE") or None}
    parser.add_argument("--vote", **voted, help="a study for the tab Vote; python -m maskunet vote makes one")
    args = parser.parse_args(argv)
    _check_places(parser, args)
    space = "SPACE_ID" in os.environ  # public by its nature
    args.alone = not (args.share or space or args.proxy) and is_loopback(args.host)
    if not (args.alone or space or args.auth or args.open):
        named = f"--proxy {args.proxy[0]}" if args.proxy else f"--host {args.host}"
        reach = "--share" if args.share else named
        parser.error(f"{reach} lets others reach the page; give --auth NAME:PASSWORD, or --open to all")
    name, _, password = (args.auth or "").partition(":")
    if args.auth is not None and not (name.strip() and len(password) >= PASSWORD):
        parser.error(f"--auth takes NAME:PASSWORD, the password of at least {PASSWORD} characters")
    args.login = (name.strip(), password) if args.auth else None
    if args.images and not args.images.is_dir():
        parser.error(f"--images takes a folder that holds folders of pictures; “{args.images.name}” is none")
    if args.vote and not args.vote.is_dir():
        parser.error(f"--vote takes the folder of a study; “{args.vote.name}” is none")
    if args.vote and args.vote.resolve().is_relative_to(args.runs.resolve()):
        parser.error("--vote takes a folder outside --runs, from which visitors may download")
    return args


def _check_places(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """The port as a number, and that everything named can be there."""
    try:
        args.port = port_of(args.port)
    except ValueError as error:
        parser.error(str(error))
    for proxy in args.proxy:
        try:
            ipaddress.ip_network(proxy, strict=False)
        except ValueError:
            parser.error(f"--proxy takes an address or a network, such as 127.0.0.1 or 10.0.0.0/8, not “{proxy}”")
    if args.root_path and not re.fullmatch(r"(https?://[^/\s?#]+)?(/[^/\s?#]+)*/?", args.root_path):
        parser.error(f"--root-path takes a path such as /lab, or a whole address, not “{args.root_path}”")
    args.root_path = args.root_path.rstrip("/")
    with suppress(OSError):  # a place that may not be looked into; the run folders say so
        taken = next((p for p in (args.runs, *args.runs.parents) if p.exists()), args.runs)
        if taken.exists() and not taken.is_dir():
            parser.error(f"--runs takes a folder; “{taken.name}” is a file")


def go_direct() -> None:
    """Forget the proxies of this environment: the page asks nobody but itself, which no proxy reaches."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)


def files_apart() -> Path | None:
    """A folder for uploads, and for what gradio serves, that ends with this program; None if another one is named."""
    if os.environ.get("GRADIO_TEMP_DIR"):
        return None
    os.environ["GRADIO_TEMP_DIR"] = place = tempfile.mkdtemp(prefix="maskunet-lab-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return Path(place)


def is_loopback(host: str) -> bool:
    """Whether only this computer reaches that address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def launch(args: argparse.Namespace, **options: object) -> tuple[object, object]:
    """Start the lab; returns the gradio app and the studio.

    Raises:
        ValueError: the model, the weights or the device are not here; says what to do.
    """
    from maskunet.studio.studio import Studio

    with without_stubs():
        from maskunet.ui.server.launch import launch as serve

    images, runs = args.images and args.images.resolve(), args.runs.resolve()
    # A visitor from elsewhere must not train here.
    own = {"models": args.models and args.models.resolve(), "votes": args.vote and args.vote.resolve()}
    studio = Studio(runs, args.model, args.weights, args.device, images=images, trains=args.alone, waits=True, **own)
    first = studio.cards()[0]
    if args.model != "auto" and not first.available:
        studio.close()
        raise ValueError(lacking(args.model, first.reason, bool(first.download_gb)))
    places = {"host": args.host, "port": args.port, "runs": runs, "proxies": args.proxy, "root_path": args.root_path}
    page = serve(studio, **places, share=args.share, login=args.login, **options)
    studio.begin()  # from here on the page answers, while the first model is loaded
    return page, studio


@contextmanager
def without_stubs() -> Iterator[None]:
    """Let gradio write no .pyi files beside its components, for which it parses them all anew at every start."""
    real = inspect.getfile

    def getfile(found: object) -> str:
        if type(found).__name__ == "ComponentMeta":
            raise OSError("gradio leaves components alone whose file is not known")
        return real(found)

    inspect.getfile = getfile
    try:
        yield
    finally:
        inspect.getfile = real


def lacking(model: str, reason: str, downloads: bool) -> str:
    """Why the page is not opened with a model whose pictures it could not make."""
    if not downloads:
        return reason
    both = f"python -m maskunet download {model}, then python -m maskunet download rewards"
    return (
        f"{reason.partition(' To download')[0]} To get it: {both}, if pictures are to be scored or steered by "
        "rewards. --model tabletop needs nothing."
    )


def main() -> None:
    """Run until interrupted."""
    args = arguments()
    os.environ.pop("GRADIO_SERVER_PORT", None)  # was read; gradio stumbles over an empty one
    if not args.share:  # a public link goes through them
        go_direct()
    try:
        check_listening(args.host, args.port)
        files = files_apart()
        page, studio = launch(args, prevent_thread_lock=True)
    except KeyboardInterrupt:
        raise SystemExit("Stopped while starting.") from None
    except ValueError as error:
        raise SystemExit(str(error)) from None
    with suppress(KeyboardInterrupt):
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # of whoever runs it as a service
        threading.Event().wait()
    end(page, studio, files)


def drop_links() -> None:
    """End the programs that gradio started for public links, which it does only where a program ends by itself."""
    with suppress(Exception):
        from gradio.tunneling import CURRENT_TUNNELS

        for tunnel in CURRENT_TUNNELS:
            tunnel.kill()


def end(page: object, studio: object, files: Path | None) -> None:
    """Close everything and leave within `PATIENCE` seconds; another Ctrl+C does not wait for them."""

    def leave(*_: object) -> None:
        studio.drop()
        drop_links()
        if files is not None:
            shutil.rmtree(files, ignore_errors=True)
        sys.stdout.flush()
        os._exit(0)  # threads that are in the middle of something are not waited for

    last = threading.Timer(PATIENCE, leave)
    last.daemon = True
    last.start()
    signal.signal(signal.SIGINT, leave)
    studio.close()
    page.server.config.timeout_graceful_shutdown = 1  # seconds for readers that do not hang up
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # it would show a traceback of each
    page.close()
    leave()


if __name__ == "__main__":
    main()
