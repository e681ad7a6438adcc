"""LoRA files and embeddings of the folder of models, asked for as a page does."""

import json
from dataclasses import replace

import pytest
from safetensors.torch import load_file, save_file

from maskunet.commands.registry import main
from maskunet.library.library import Library
from maskunet.records import Request
from maskunet.records.disk.hub import file_hash
from maskunet.runs import run_folder
from maskunet.studio.studio import Studio
from tests.support import tiny_library, tiny_lora
from tests.support.tiny import tiny_sd_folder, tiny_text_encoder, tiny_unet


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder of models that has a LoRA, an embedding, and files that cannot be read."""
    place = tmp_path_factory.mktemp("models")
    found = tiny_lora.factors({"unet": tiny_unet(), "text_encoder": tiny_text_encoder(300)})
    tiny_lora.write(
        place / "loras" / "metal.safetensors", tiny_lora.kohya(found), ss_tag_frequency='{"a": {"shiny": 2}}'
    )
    tiny_lora.write(
        place / "loras" / "flux.safetensors",
        {
            "lora_unet_double_blocks_0_x.lora_up.weight": found[
                "unet", "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
            ][1]
        },
    )
    (place / "loras" / "old.pt").write_bytes(b"PK\x03\x04")
    tiny_lora.embedding(place / "embeddings" / "cat.safetensors", 2)
    return place


@pytest.fixture
def studio(models, library, tmp_path):
    spec = library.spec("tiny")
    studio = Studio(tmp_path, library=Library("tiny", device="cpu", specs={"tiny": spec}, models=models))
    yield studio
    studio.close()


def made(studio, **more):
    request = Request(
        prompt="a <cat-toy>", model="tiny", method="plain", steps=2, previews=False, statistics=False, **more
    )
    *_, last = studio.events(studio.start(request))
    assert last.phase == "done", last.message
    return last.run


def test_files_are_offered_with_their_words_or_why_they_cannot_be_read(studio):
    cards = studio.additions()
    assert {card.name: card.available for card in cards["loras"]} == {"metal": True, "flux": False, "old.pt": False}
    said = {card.name: card.summary or card.reason for card in cards["loras"]}
    assert said["metal"] == "trigger words: shiny; license unknown"
    assert "made for FLUX" in said["flux"] and "is a pickle" in said["old.pt"]
    assert [(card.name, card.kind) for card in cards["embeddings"]] == [("cat", "<cat-toy>")]


def test_a_run_says_what_was_on_the_model_and_the_plain_picture_is_never_the_bases(studio):
    bare = made(studio)
    run = made(studio, loras=("metal:0.7",), embeddings=("cat",))
    assert run.request.loras == ("metal:0.7",) and run.request.embeddings == ("cat:<cat-toy>",)
    assert {"lora/metal:0.7", "embedding/cat:<cat-toy>"} <= {*run.weights} and len(run.weights["lora/metal:0.7"]) == 64
    assert "LoRA “metal” at 0.7 (trigger words: shiny; license unknown)." in run.note
    assert (run.base_image == run.result_image).all() and not (run.base_image == bare.base_image).all()
    assert (made(studio).result_image == bare.result_image).all()
    words = studio.command(run.request)
    assert "--lora=metal.safetensors:0.7" in words and "--embedding='cat.safetensors:<cat-toy>'" in words
    again = studio.shelf.read(run.id)
    assert again.request == run.request and studio.as_made(again.request, again.settings) == run.request


def test_of_trainings_of_one_name_a_model_has_its_own(library, tmp_path):
    specs = {name: replace(library.spec("tiny"), name=name) for name in ("tiny", "zebra")}
    header = {"maskunet-embedding-1": json.dumps({"model": "-", "weights": {}, "token": "<pet>"})}
    for seed, name in enumerate(("ant", "tiny", "zebra")):
        path = tiny_lora.embedding(tmp_path / name / "pet" / "trained.safetensors", seed=seed)
        save_file(load_file(path), path, metadata=header)
    here = Library("tiny", device="cpu", specs=specs, trained=tmp_path)
    added = Request(prompt="a <pet>", embeddings=("pet",)).added
    for name in specs:
        model = here.load(name, with_rewards=False, added=added).model
        assert model.weights["embedding/pet:<pet>"] == file_hash(tmp_path / name / "pet" / "trained.safetensors")
    assert Studio(tmp_path / "runs", library=here, waits=True).additions()["embeddings"][0].available


@pytest.mark.parametrize(("more", "said"), [
    ({"loras": ("gone:1",)}, "The LoRA “gone” is not here. Put its file into the folder loras of --models"),
    ({"embeddings": ("gone",)}, "The embedding “gone” is not here."),
])  # fmt: skip
def test_what_is_not_here_is_told_at_once(studio, more, said):
    with pytest.raises(ValueError, match=said):
        made(studio, **more)


def test_a_file_that_cannot_be_read_ends_in_its_sentence_and_the_next_picture_is_made(studio):
    request = Request(prompt="a", model="tiny", method="plain", steps=2, loras=("flux",))
    *_, last = studio.events(studio.start(request))
    assert last.phase == "failed" and "was made for FLUX" in last.message
    assert made(studio, loras=("metal:0",)).state == "done"


def test_a_command_makes_records_and_replays_it_and_names_the_missing_file(models, tmp_path, capsys):
    folder, lora = tiny_sd_folder(tmp_path / "tiny"), models / "loras" / "metal.safetensors"
    asked = [f"--weights={folder}", "--method=random_mask", "--device=cpu"]
    more = [f"--lora={lora}:0.7", "--lora-masks=base", f"--embedding={models / 'embeddings' / 'cat.safetensors'}:<pet>"]
    for out, words in (("a", more), ("b", [])):
        assert not main(["generate", "--prompt=a <pet>", "--steps=2", *asked, *words, f"--out={tmp_path / out}"])
    first, bare = (run_folder.read(tmp_path / out) for out in "ab")
    assert first.request.lora_masks == "base" and "lora/metal:0.7 (base)" in first.weights
    assert not (first.base_image == bare.base_image).all() and not bare.request.loras
    record = tmp_path / "a" / "run.json"
    assert not main(["generate", f"--replay={record}", *asked, *more, f"--out={tmp_path / 'again'}"])
    assert (tmp_path / "again" / "result.png").read_bytes() == (tmp_path / "a" / "result.png").read_bytes()
    for words in ([], [f"--lora={lora}:0.5"]):
        assert main(["generate", f"--replay={record}", *asked, *words, f"--out={tmp_path / 'none'}"]) == 2
        told = capsys.readouterr().err
        assert "This was made with --lora metal:0.7 --embedding cat:<pet> --lora-masks base" in told
    assert not (tmp_path / "none").exists() and json.loads(record.read_text())["request"]["loras"] == ["metal:0.7"]


def test_a_folder_of_models_without_a_model_is_still_refused(tmp_path):
    tiny_library.tiny_sd_folder(tmp_path / "tiny")
    (tmp_path / "empty" / "loras").mkdir(parents=True)
    with pytest.raises(ValueError, match="holds no models"):
        Library("tabletop", device="cpu", models=tmp_path / "empty")
