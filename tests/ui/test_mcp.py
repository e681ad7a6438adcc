"""Assistants call the page's endpoints as tools, where only this computer reaches the page."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from maskunet.studio.studio import Studio
from maskunet.ui.server import launch
from tests.support.serving import served

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
BOTH = {"accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module")
def lab(library, tmp_path_factory):
    studio = Studio(tmp_path_factory.mktemp("runs"), library=library)
    with served(studio, {}) as url:
        yield url


def asked(url, work):
    """What some work with a real client of the protocol gives."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def talk():
        async with (
            streamablehttp_client(f"{url}/gradio_api/mcp") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await work(session)

    with ThreadPoolExecutor(1) as apart:  # the browser of other tests has a loop in this thread
        return apart.submit(asyncio.run, asyncio.wait_for(talk(), 120)).result()


def test_the_public_endpoints_are_tools_with_words_for_every_argument(lab):
    pytest.importorskip("mcp")
    tools = {tool.name: tool for tool in asked(lab, lambda session: session.list_tools()).tools}
    assert {*tools} == {"compare", "intervene", "grid", "video"}
    assert tools["grid"].description.startswith("Make a picture for every combination of values, at most 100")
    for tool in tools.values():
        arguments = tool.inputSchema["properties"]
        assert "prompt" in arguments and "caller" not in arguments
        assert all(len(about["description"]) > 15 for about in arguments.values()), tool.name
        assert arguments["loras"]["type"] == arguments["embeddings"]["type"] == "array"


def test_a_tool_makes_pictures_and_tells_a_refusal(lab):
    pytest.importorskip("mcp")
    given = {
        "prompt": "a red cube",
        "negative_prompt": "",
        "seed": "3",
        "model": "tiny",
        "method": "plain",
        "preset": "",
    }
    found = asked(lab, lambda session: session.call_tool("compare", given))
    kinds = [part.type for part in found.content]
    assert not found.isError and kinds.count("image") == 2
    assert any('"seed": 3' in part.text or "'seed': 3" in part.text for part in found.content if part.type == "text")
    refused = asked(lab, lambda session: session.call_tool("compare", {**given, "method": "magic"}))
    assert refused.isError and "There is no method “magic”" in refused.content[0].text


def test_no_page_of_another_site_and_no_other_route_gets_in(lab):
    evil = {"origin": "https://evil.example", **BOTH}
    assert httpx.post(f"{lab}/gradio_api/mcp", json=CALL, headers=evil).status_code == 403
    for route in ("sse", "schema", "messages/"):
        assert httpx.get(f"{lab}/gradio_api/mcp/{route}").status_code == 404
        assert httpx.post(f"{lab}/gradio_api/mcp/{route}", json=CALL).status_code == 404
    large = httpx.post(
        f"{lab}/gradio_api/mcp", content=json.dumps("x" * 5_000_000), headers={"content-type": "application/json"}
    )
    assert large.status_code == 413


def test_strangers_are_offered_no_tools(monkeypatch):
    monkeypatch.setattr(launch, "find_spec", lambda name: name)
    speaks = launch.speaks_mcp
    assert speaks("127.0.0.1", share=False, login=False) and speaks("localhost", share=False, login=False)
    assert not speaks("0.0.0.0", share=False, login=False)
    assert not speaks("127.0.0.1", share=True, login=False) and not speaks("127.0.0.1", share=False, login=True)
    assert not speaks("127.0.0.1", share=False, login=False, proxies=["127.0.0.1"])
    monkeypatch.setenv("SPACE_ID", "someone/lab")
    assert not speaks("127.0.0.1", share=False, login=False)
    monkeypatch.delenv("SPACE_ID")
    monkeypatch.setattr(launch, "find_spec", lambda name: None)
    assert not speaks("127.0.0.1", share=False, login=False)
