"""The endpoints as programs call them: a real client, a real Studio, a small random model."""

import re
import shlex
import shutil
import subprocess
import threading
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskunet.commands.registry import main
from maskunet.lab import Lab
from maskunet.records import Request, held_mask
from maskunet.runs import mask_sources
from maskunet.runs.notebook import read, save
from maskunet.ui import links, snippets
from tests.support import tiny_lora
from tests.support.tiny import tiny_text_encoder, tiny_unet


@pytest.fixture(scope="module")
def client(lab, tmp_path_factory):
    from gradio_client import Client

    downloads = str(tmp_path_factory.mktemp("downloads"))
    return Client(lab[0], verbose=False, download_files=downloads, analytics_enabled=False)


ASK = {
    "prompt": "a red cube", "negative_prompt": "", "seed": 7, "model": "tiny", "method": "random_mask",
    "preset": "", "api_name": "/compare",
}  # fmt: skip


def test_there_are_four_endpoints(client):
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert set(named) == {"/compare", "/intervene", "/grid", "/video"}


def test_the_client_gets_previews_and_then_both_pictures_with_their_numbers(client):
    job = client.submit(**ASK)
    base, result, facts = job.result(timeout=120)
    assert base
    assert result
    assert set(facts) >= {"base_rewards", "rewards", "keep_ratio", "unet_calls", "seconds", "run_id"}
    assert 0.9 < facts["keep_ratio"] < 0.97
    assert any(facts.get("phase") == "base" for _, _, facts in job.outputs())


def test_a_kept_mask_gives_the_same_bytes_through_the_page_the_command_and_python(
    client, lab, library, tmp_path, monkeypatch
):
    model = library.load("tiny").model
    made = mask_sources.by_chance(model, "iid", 0.3, seed=2)
    held_mask.save(made, tmp_path / "few.safetensors")
    monkeypatch.setitem(model.trained, "mask", {"few": tmp_path / "few.safetensors"})
    monkeypatch.setattr("maskunet.library.library.Library", lambda *given, **added: library)
    monkeypatch.chdir(tmp_path)
    facts = client.predict("a red cube", seed=7, model="tiny", method="held_mask", preset="half", api_name="/compare")[
        2
    ]
    asked = ["--prompt=a red cube", "--seed=7", "--model=tiny"]
    assert main(["generate", *asked, "--method=held_mask", "--preset=half", "--out=command"]) == 0
    python = Lab().compare("a red cube", seed=7, method="held_mask", preset="half")
    save(python, "python")
    (page,) = (p for p in lab[1].shelf.folder.iterdir() if p.name == facts["run_id"])
    pictures = [(folder / "result.png").read_bytes() for folder in (page, Path("command"), Path("python"))]
    assert pictures[0] == pictures[1] == pictures[2]
    assert main(["mask", "apply", "few", "--dose=0.5", *asked, "--out=applied"]) == 0
    assert np.array_equal(read("applied").result_image, python.result_image)
    assert not np.array_equal(python.base_image, python.result_image)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": "x" * 2000}, "2,000 characters"),
        ({"seed": -2}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"seed": 1.5}, "whole number"),
        ({"model": "../etc"}, "must be a name"),
        ({"model": "sd99"}, "no model"),
        ({"method": "magic"}, "no method"),
        ({"preset": "best"}, "no preset"),
        ({"steps": 1000}, "number of steps"),
        ({"steps": 1.5}, "whole number"),
        ({"guidance": 99}, "guidance scale"),
        ({"settings": {"magic": 1}}, "no setting"),
        ({"settings": {"removed": 7}}, "removed"),
    ],
)
def test_bad_calls_get_one_clear_sentence(client, change, sentence):
    with pytest.raises(Exception, match=sentence) as caught:
        client.predict(**{**ASK, **change})
    assert "Traceback" not in str(caught.value)


def test_every_argument_but_the_prompt_has_a_default(client):
    for name, endpoint in client.view_api(return_format="dict")["named_endpoints"].items():
        asked = {one["parameter_name"]: one["parameter_has_default"] for one in endpoint["parameters"]}
        needed = [] if name == "/grid" else ["prompt"]  # prompts may be an axis of a grid
        assert [each for each, has_default in asked.items() if not has_default] == needed


KNOCK = {"prompt": "a red cube", "seed": 7, "model": "tiny", "api_name": "/intervene"}


def test_a_caller_knocks_a_part_out(client, lab):
    base, result, facts = client.predict(**KNOCK, what="block1.cross.v@2-=0.5")
    run = lab[1].run(facts["run_id"])
    assert (run.request.method, run.settings["what"]) == ("knock_out", "block1.cross.v@2-=0.5")
    assert (run.base_image != run.result_image).any() and base and result


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"what": "blok1"}, "says no place in the network"),
        ({"what": "block7"}, "means nothing here. In this model block1 has layer0"),
        ({"what": "q" * 50_000}, "50,000 characters; allowed are 1,000"),
        ({"what": "q" * 10_000_000}, "413"),  # refused at the door
        ({"concept": "red", "dose": -1}, "no mask to erase “red”"),
        ({"what": "block1", "concept": "red", "dose": -1}, "either what is out, or a concept"),
        ({"dose": 0.5}, "either what is out, or a concept"),
        ({"model": "sd99"}, "no model"),
    ],
)
def test_a_bad_wish_gets_one_clear_sentence(client, given, sentence):
    with pytest.raises(Exception, match=sentence):
        client.predict(**{**KNOCK, **given})


@pytest.mark.parametrize(("given", "used"), [("8", 8), (2**64 - 1, 2**64 - 1), (str(2**64 - 1), 2**64 - 1), (8.0, 8)])
def test_seeds_of_other_programs_are_taken(client, given, used):
    assert client.predict("a cube", seed=given, method="plain", model="tiny", api_name="/compare")[2]["seed"] == used


def test_steps_guidance_and_settings_are_taken_and_the_snippet_runs_as_printed(client, lab):
    asked = {"method": "random_mask", "model": "tiny", "steps": 2, "guidance": 2.5, "settings": {"removed": 0.5}}
    made = lab[1].run(client.predict("a cube", **asked, api_name="/compare")[2]["run_id"])
    assert (made.request.steps, made.request.guidance, made.settings["removed"]) == (2, 2.5, 0.5)
    printed: dict[str, Any] = {}
    exec(snippets.python(made.request, lab[0]), printed)
    again = lab[1].run(printed["facts"]["run_id"])
    assert again.request == made.request and again.settings == made.settings


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl on this machine")
def test_the_curl_and_the_replay_run_as_printed(lab, library, tmp_path, monkeypatch):
    asked = Request(
        prompt='it\'s a "cube"; $HOME & 猫',
        seed=5,
        model="tiny",
        method="random_mask",
        steps=2,
        guidance=2.5,
        settings={"removed": 0.5},
    )
    said = subprocess.run(
        ["sh", "-c", snippets.curl(asked, lab[0])], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    made = lab[1].run(re.findall(r'"run_id": *"(\w+)"', said)[-1])
    assert links.fields(made.request) == links.fields(replace(asked, preset=made.request.preset))
    with zipfile.ZipFile(lab[1].shelf.zip(made.id)) as files:
        files.extractall(tmp_path)
    monkeypatch.setattr("maskunet.library.library.Library", lambda *given, **added: library)
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(snippets.replay(made))[3:]) == 0
    assert np.array_equal(read("again").result_image, made.result_image)


@pytest.fixture(scope="module")
def added(lab, library, tmp_path_factory):
    """A LoRA and an embedding in the folder of models, and what a call of every endpoint says of them."""
    place = tmp_path_factory.mktemp("models")
    found = tiny_lora.factors({"unet": tiny_unet(), "text_encoder": tiny_text_encoder(300)})
    files = {
        "loras": {"metal": tiny_lora.write(place / "metal.safetensors", tiny_lora.kohya(found))},
        "embeddings": {"cat": tiny_lora.embedding(place / "cat.safetensors")},
    }
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(library, "_files", files)
        yield {"loras": ["metal:0.7"], "embeddings": ["cat:<pet>"], "lora_masks": "base"}


SMALL = {"prompt": "a <pet>", "model": "tiny", "method": "random_mask", "steps": 2}


def test_a_call_puts_lora_files_and_embeddings_on_the_model_and_the_snippets_do_as_printed(client, lab, added):
    made = lab[1].run(client.predict(**SMALL, **added, api_name="/compare")[2]["run_id"])
    assert {"lora/metal:0.7 (base)", "embedding/cat:<pet>"} <= {*made.weights}
    bare = lab[1].run(client.predict(**SMALL, api_name="/compare")[2]["run_id"])
    assert not bare.request.loras and (bare.base_image != made.base_image).any()
    assert "lora" not in snippets.python(bare.request, lab[0]) and "embedding" not in snippets.curl(bare.request, "")
    printed: dict[str, Any] = {}
    exec(snippets.python(made.request, lab[0]), printed)
    again = [lab[1].run(printed["facts"]["run_id"])]
    if shutil.which("curl"):
        code = ["sh", "-c", snippets.curl(made.request, lab[0])]
        said = subprocess.run(code, capture_output=True, text=True, timeout=60, check=True).stdout
        again.append(lab[1].run(re.findall(r'"run_id": *"(\w+)"', said)[-1]))
    for run in again:
        assert run.request == made.request and np.array_equal(run.result_image, made.result_image)


@pytest.mark.parametrize("endpoint", ["/intervene", "/grid", "/video"])
def test_every_endpoint_takes_them(client, lab, added, endpoint):
    own = {"/intervene": {"what": "block1"}, "/grid": {"x": "seed=1"}, "/video": {"frames": 1}}[endpoint]
    facts = client.predict("a <pet>", model="tiny", **own, **added, api_name=endpoint)[-1]
    assert facts["run_id"] if endpoint == "/intervene" else facts["phase"] == "done"
    with pytest.raises(Exception, match="The LoRA “gone” is not here"):
        client.predict("a cube", model="tiny", **own, loras=["gone"], api_name=endpoint)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"loras": ["a", "b", "c", "d", "e"]}, "There are 5 LoRA files; at most 4 go together"),
        ({"loras": ["metal:9"]}, "from -5 to 5"),
        ({"loras": ["metal", "metal:2"]}, "is named twice"),
        ({"loras": "metal:1"}, "must be a list of texts"),
        ({"loras": {"metal": 1}}, "must be a list of texts"),
        ({"loras": [1]}, "must be a list of texts"),
        ({"loras": ["../metal"]}, "is no name of a file"),
        ({"loras": ["gone"]}, "The LoRA “gone” is not here"),
        ({"embeddings": ["gone"]}, "The embedding “gone” is not here"),
        ({"embeddings": ["cat:two words"]}, "without spaces"),
        ({"lora_masks": "both"}, "must be one of merged and base"),
    ],
)
def test_files_that_a_call_cannot_have_get_one_clear_sentence(client, added, given, sentence):
    with pytest.raises(Exception, match=sentence) as caught:
        client.predict(**{**SMALL, **given}, api_name="/compare")
    assert "Traceback" not in str(caught.value)


def test_a_caller_is_told_which_seed_was_drawn(client):
    asked = {"prompt": "a cube", "method": "plain", "model": "tiny", "api_name": "/compare"}
    drawn = {client.predict(**asked, seed=given)[2]["seed"] for given in (-1, "-1", None, "")}
    assert len(drawn) > 1 and all(0 <= seed < 2**32 for seed in drawn)


def test_two_callers_get_their_own_pictures_one_after_the_other(lab, tmp_path):
    from gradio_client import Client

    found = {}

    def call(seed):
        client = Client(lab[0], verbose=False, download_files=str(tmp_path / str(seed)), analytics_enabled=False)
        found[seed] = client.predict(**{**ASK, "seed": seed})[2]

    threads = [threading.Thread(target=call, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    runs = {seed: lab[1].run(facts["run_id"]) for seed, facts in found.items()}
    assert {seed: run.request.seed for seed, run in runs.items()} == {1: 1, 2: 2}
