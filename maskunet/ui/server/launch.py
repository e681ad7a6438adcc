"""Serve the page: every launch argument, each chosen on purpose."""

import asyncio
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from maskunet.records import Run
from maskunet.ui import look, page, words
from maskunet.ui.server.door import Door
from maskunet.ui.server.listeners import Answers, States, Streams, answer_when_left
from maskunet.ui.studio import Studio

# Calls at once: many more than what jobs can have of followers, since nobody waits in gradio's own queue.
CALLS = 1000
LOOK = 0.02  # seconds between looks at gradio's queue; its own thousand looks a second cost 6 % of a core, all day


def launch(
    studio: Studio,
    *,
    host: str,
    port: int | None,
    runs: Path,
    share: bool = False,
    login: tuple[str, str] | None = None,
    shelf: dict[str, Run] | None = None,
    proxies: Sequence[str] = (),
    root_path: str = "",
    **options: Any,
) -> gr.Blocks:
    """Put the page over a studio on the network.

    Args:
        studio: what does the work. runs: the folder whose files the page may offer.
        host, port: where it listens; any free port for None.
        share: whether gradio gives it a public link. login: the name and password that visitors must give.
        shelf: the precomputed runs, by default the gallery's.
        proxies: addresses or networks of the reverse proxies that say who asks and where the page is.
        root_path: the path, or whole address, where visitors find the page behind them.
        options: of `gradio.Blocks.launch`.
    """
    os.environ["FORWARDED_ALLOW_IPS"] = ""  # uvicorn would believe anyone on this computer; the door decides
    demo = page.build(studio, shelf, address(host, port, root_path))
    demo.queue(max_size=CALLS, default_concurrency_limit=None, api_open=False)
    demo._queue.sleep_when_free = demo._queue.progress_update_sleep_when_free = LOOK
    demo._queue.pending_messages_per_session = Answers(demo.listeners, demo._queue.pending_event_ids_session)
    answer_when_left(demo._queue, demo.listeners)
    demo.launch(
        server_name=host,
        server_port=port,
        share=share,
        auth=login,
        auth_message=words.LOGIN if login else None,
        theme=look.theme(),
        css_paths=look.CSS,
        root_path=root_path,
        allowed_paths=[str(runs.resolve())],
        show_error=False,
        _frontend=False,  # or gradio asks the page once, and ends the program if a busy computer takes 3 s to answer
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=speaks_mcp(host, share=share, login=login is not None, proxies=proxies),
        run_history=False,
        max_file_size="64mb",
        max_threads=CALLS,
        state_session_capacity=200,
        footer_links=["api", "settings"],
        app_kwargs={
            "middleware": [Middleware(Door, proxies=proxies), Middleware(Streams, listeners=demo.listeners)],
            "openapi_url": None,
        },  # it would list routes before a login
        **options,
    )
    states = demo.app.state_holder
    states.session_data = States(demo.listeners, states.session_data)
    if demo.mcp_server_obj is not None:  # which takes several outputs for one, and tells where a picture lies here
        demo.mcp_server_obj._execute_tool_without_progress = _outputs
    return demo


async def _outputs(job: Any) -> list[Any]:
    """What a tool's call gave, one after the other."""
    return [*await asyncio.to_thread(job.result)]


def speaks_mcp(host: str, *, share: bool, login: bool, proxies: Sequence[str] = ()) -> bool:
    """Whether assistants may call the endpoints as tools (Model Context Protocol): where only this computer reaches them.

    Gradio asks itself for the caller, so that all of them have one address and one turn; and it has no login for them.
    It needs the package `mcp`.
    """
    near = host == "localhost" or host.startswith("127.") or host == "::1"
    return near and not (share or login or proxies or "SPACE_ID" in os.environ) and find_spec("mcp") is not None


def address(host: str, port: int | None, root_path: str = "") -> str:
    """Where programs on this computer find the page, or visitors if it is a Space or `root_path` a whole address."""
    if space := os.environ.get("SPACE_HOST"):
        return f"https://{space}"
    if root_path.startswith(("http://", "https://")):
        return root_path.rstrip("/")
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    name = f"[{near}]" if ":" in near else near
    return f"http://{name}:{port or 7860}{root_path.rstrip('/')}"
