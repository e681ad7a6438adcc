"""Launch the lab: parse the flags, build the studio and the page. `python app.py --help` lists the flags."""

import argparse
import os
import tempfile
from contextlib import suppress
from pathlib import Path

with suppress(ImportError):
    import spaces  # noqa: F401, of Spaces with a shared GPU; must come before torch and gradio

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported
# How long a thread of torch spins before it sleeps. By default it is long, and with another program on one
# of two cores an official pair took over 90 s instead of 16; so it is 29, and 20 on an idle machine.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

IDLE, WAITING = 4, 64  # light handlers at once; requests in gradio's own queue


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The launch flags."""
    parser = argparse.ArgumentParser(description="MaskUNet Lab, a page on this computer.")
    parser.add_argument("--model", default="auto", help="tabletop, sd15, sd2, folder; auto chooses")
    parser.add_argument("--weights", type=Path, help="a Stable Diffusion folder to read instead")
    parser.add_argument("--device", help="cuda, mps or cpu; by default the best one here")
    parser.add_argument("--host", default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(os.environ.get("GRADIO_SERVER_PORT", "7860")))
    parser.add_argument("--share", action="store_true", help="a public link; needs --auth")
    parser.add_argument("--auth", metavar="NAME:PASSWORD", help="ask visitors for this login")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where run folders go")
    parser.add_argument("--images", type=Path, help="folder whose folders of pictures the page may compare")
    args = parser.parse_args(argv)
    if args.share and not args.auth:
        parser.error("--share puts the page on the internet; give --auth NAME:PASSWORD with it")
    if args.auth and ":" not in args.auth:
        parser.error("--auth takes NAME:PASSWORD")
    if args.images and not args.images.is_dir():
        parser.error(f"--images takes a folder that holds folders of pictures; “{args.images.name}” is none")
    return args


def launch(args: argparse.Namespace, **options: object) -> tuple[object, object]:
    """Start the page; returns the gradio app and the studio."""
    from maskunet.studio import Studio
    from maskunet.ui import build as page

    images = args.images and args.images.resolve()
    local = not args.share and "SPACE_ID" not in os.environ  # a visitor from elsewhere must not train here
    studio = Studio(args.runs.resolve(), args.model, args.weights, args.device, images=images, trains=local)
    demo = page.build(studio)
    demo.queue(max_size=WAITING, default_concurrency_limit=IDLE, api_open=False)
    demo.launch(
        server_name=args.host,
        server_port=args.port,
        share=args.share,
        auth=tuple(args.auth.split(":", 1)) if args.auth else None,
        theme=page.theme(),
        css_paths=[page.CSS],
        allowed_paths=[str(args.runs.resolve())],
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        run_history=False,
        max_file_size="64mb",
        state_session_capacity=200,
        footer_links=["api", "settings"],
        **options,
    )
    return demo, studio


def main() -> None:
    """Run until interrupted."""
    os.environ.setdefault("GRADIO_TEMP_DIR", str(Path(tempfile.gettempdir()) / "maskunet-lab"))
    launch(arguments())[1].close()


if __name__ == "__main__":
    main()
