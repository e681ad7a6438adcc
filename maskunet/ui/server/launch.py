"""Serve the page: every launch argument, each chosen on purpose."""

from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from maskunet.records import Run
from maskunet.ui import page, words
from maskunet.ui.server.door import Door
from maskunet.ui.server.listeners import Streams
from maskunet.ui.studio import Studio

# Calls at once: many more than what jobs can have of followers, since nobody waits in gradio's own queue.
CALLS = 1000


def launch(
    studio: Studio,
    *,
    host: str,
    port: int | None,
    runs: Path,
    share: bool = False,
    login: tuple[str, str] | None = None,
    shelf: dict[str, Run] | None = None,
    **options: Any,
) -> gr.Blocks:
    """Put the page over a studio on the network.

    Args:
        studio: what does the work. runs: the folder whose files the page may offer.
        host, port: where it listens; any free port for None.
        share: whether gradio gives it a public link. login: the name and password that visitors must give.
        shelf: the precomputed runs, by default the gallery's.
        options: of `gradio.Blocks.launch`.
    """
    demo = page.build(studio, shelf)
    demo.queue(max_size=CALLS, default_concurrency_limit=None, api_open=False)
    demo.launch(
        server_name=host,
        server_port=port,
        share=share,
        auth=login,
        auth_message=words.LOGIN if login else None,
        theme=page.theme(),
        css_paths=page.CSS,
        allowed_paths=[str(runs.resolve())],
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        run_history=False,
        max_file_size="64mb",
        max_threads=CALLS,
        state_session_capacity=200,
        footer_links=["api", "settings"],
        app_kwargs={
            "middleware": [Middleware(Door), Middleware(Streams, listeners=demo.listeners)],
            "openapi_url": None,
        },  # it would list routes before a login
        **options,
    )
    return demo
