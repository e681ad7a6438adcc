"""`push` and hf://: a trained part to the Hub and back, and everything that a stranger's repository may hold."""

import json
import pickle
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from maskunet import Lab, apply_masks, remove_masks
from maskunet.commands import SPECS as COMMANDS
from maskunet.commands.base.options import declared, with_parts
from maskunet.commands.generate import Options
from maskunet.commands.registry import main
from maskunet.experiments import evaluate
from maskunet.library import model_card, push
from maskunet.library.library import Library
from maskunet.records.disk import hub_parts
from maskunet.records.disk.hub import file_hash
from maskunet.rewards.base import WeightedRewards
from maskunet.tabletop.place import MODEL
from tests.support import hub_server

MASK, GENERATOR = MODEL / "masks" / "erase_red.safetensors", MODEL / "generators" / "light.safetensors"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with hub_server.serving(monkeypatch, tmp_path / "cache") as hub:
        yield hub


def said(capsys, *words):
    """The exit code, and what a command says; both of one that is wrong on purpose."""
    code = main(list(words))
    return code, "".join(capsys.readouterr())


def parts_here(place=Path("trained")):
    return sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())


@pytest.mark.parametrize(("name", "path"), [("erase_red", MASK), ("light", GENERATOR)])
def test_what_was_pushed_comes_back_the_same_and_works_under_its_address(hub, capsys, name, path):
    code, told = said(capsys, "push", name, "--model", "tabletop", "--yes")
    assert code == 0 and f"It goes to anna/tabletop-{name}." in told and f"/anna/tabletop-{name}\n" in told
    there = hub.repos[f"anna/tabletop-{name}"]
    assert there.keys() == {"README.md", "trained.safetensors"} and there["trained.safetensors"] == path.read_bytes()
    assert f"hf://anna/tabletop-{name}" in there["README.md"].decode()
    assert sum("/commit/" in path for _, path in hub.asked) == 1  # both files or none
    address, short = f"hf://anna/tabletop-{name}", f"anna--tabletop-{name}"
    options = with_parts(Options(prompt="a red cube", out=Path("run"), model="tabletop", set={"part": address, "n": 3}))
    assert options.set == {"part": short, "n": 3}
    assert parts_here() == [f"tabletop/{short}/hub.json", f"tabletop/{short}/trained.safetensors"]
    assert (Path("trained/tabletop") / short / "trained.safetensors").read_bytes() == path.read_bytes()
    asked = len(hub.asked)
    assert with_parts(options) is options and hub_parts.fetch(address, Path("trained"), "tabletop") == short
    assert len(hub.asked) == asked  # it is here now
    kind = "mask" if path is MASK else "generator"
    assert short in Library("tabletop").parts("tabletop")[kind]


def test_python_takes_addresses_where_it_takes_names(hub):
    hub.repos["ben/red"] = {"trained.safetensors": MASK.read_bytes()}
    lab = Lab("tabletop")
    lab.rewards = WeightedRewards({})
    asked = {"method": "held_mask", "steps": 1, "seed": 1, "previews": False, "statistics": False}
    *_, own = lab.events("a red cube", settings={"mask": "erase_red"}, **asked)
    *_, theirs = lab.events("a red cube", settings={"mask": "hf://ben/red"}, **asked)
    assert (theirs.image == own.image).all() and "ben--red" in lab.masks
    assert lab.mask("hf://ben/red").recipe == lab.mask("erase_red").recipe
    hub.repos["ben/again"] = hub.repos["ben/red"]
    grid = lab.grid("a red cube", x="method=held_mask:hf://ben/again", steps=1, seed=1)
    assert (grid.picture(0) == own.image).all() and grid.lines[0]["x"] == "held_mask:ben--again"
    hub.repos["ben/soft"] = {"trained.safetensors": GENERATOR.read_bytes()}
    made = lab.make_mask(generator="hf://ben/soft", prompt="a red cube", steps=1)
    assert made.recipe["generator"] == "ben--soft"
    hub.repos["ben/judged"] = hub.repos["ben/red"]
    with pytest.raises(ValueError, match="No rewards"):  # before which what was given is read
        lab.evaluate("held_mask", tasks="single", n=1, settings={"mask": "hf://ben/judged"})
    assert "ben--judged" in lab.masks

    class Pipe:
        unet = lab.model.unet

    plain = {name: value.clone() for name, value in Pipe.unet.state_dict().items()}
    apply_masks(Pipe, "hf://ben/red")
    assert hasattr(Pipe.unet, "_maskunet")
    remove_masks(Pipe)
    assert all(torch.equal(value, plain[name]) for name, value in Pipe.unet.state_dict().items())


NAMED = {
    "match": ({"methods": "plain,held_mask:hf://ben/red@2", "model": "tabletop"}, ["tabletop"]),
    "race": ({"methods": "plain,held_mask:hf://ben/red@2", "model": "tabletop"}, ["tabletop"]),
    "style": ({"masks": ("plain", "held_mask:hf://ben/red")}, ["tabletop"]),
    "transfer": ({"sources": ("plain", "held_mask:hf://ben/red")}, ["tabletop", "tabletop_web"]),
    "grid": ({"x": "method=plain,held_mask:hf://ben/red", "model": "tabletop"}, ["tabletop"]),
    "mask": (
        {
            "action": "combine",
            "operation": "carry",
            "of": ("hf://ben/red",),
            "model": "tabletop",
            "from_model": "tabletop_web",
        },
        ["tabletop_web"],
    ),
    "export": ({"mask": "hf://ben/red", "model": "tabletop", "form": "folder"}, ["tabletop"]),
}


@pytest.mark.parametrize("command", NAMED)
def test_every_command_that_takes_names_of_trained_parts_takes_addresses(hub, command):
    """Of every base model that it puts them on."""
    hub.repos["ben/red"] = {"trained.safetensors": MASK.read_bytes()}
    given, models = NAMED[command]
    place = {} if command == "mask" else {"out": Path("out")}
    options = with_parts(COMMANDS[command].options(**given, **place))
    written = repr(given).replace("hf://ben/red", "ben--red")
    assert repr({name: getattr(options, name) for name in given}) == written
    assert parts_here() == [
        f"{each}/ben--red/{file}" for each in models for file in ("hub.json", "trained.safetensors")
    ]


def test_what_names_trained_parts_says_of_which_base_models_they_are():
    for name, spec in COMMANDS.items():
        texts = {card.name: flag.trained for card, flag in declared(spec.options) if is_of_parts(card)}
        assert all(texts.values()), (name, texts)
        assert not any(flag.trained for _, flag in declared(spec.options)) or hasattr(spec.options, "bases"), name


def is_of_parts(card):
    """Whether an option's words say that methods with their parts may stand there."""
    return "method/preset:part" in card.help or "as in a race" in card.help


def test_the_command_shows_and_refreshes_what_lies_on_the_hub(hub, capsys):
    hub.repos["ben/red"] = {"trained.safetensors": MASK.read_bytes()}
    code, told = said(capsys, "mask", "show", "hf://ben/red", "--model", "tabletop")
    assert code == 0 and "concept" in told
    hub.repos["ben/red"]["trained.safetensors"] = (MODEL / "masks" / "erase_orange.safetensors").read_bytes()
    assert said(capsys, "download", "hf://ben/red", "--model", "tabletop")[0] == 0
    assert "orange" in said(capsys, "mask", "show", "ben--red", "--model", "tabletop")[1]


def test_who_sends_an_address_to_the_page_makes_it_fetch_nothing(hub, library):
    """Visitors send settings, which are names of what is here; only what a command or Python was told is fetched."""
    from maskunet.methods import SPECS

    hub.repos["ben/red"] = {"trained.safetensors": MASK.read_bytes()}
    loaded = library.load(library.default)
    for name, setting in (("held_mask", "mask"), ("maskunet_trained", "generator"), ("fine_tuned", "training")):
        settings = SPECS[name].settings("", {setting: "hf://ben/red"})
        with pytest.raises(ValueError, match=r"There is no (mask|trained|mask generator|kept mask)"):
            SPECS[name].parts(loaded.model, settings)
    assert not hub.asked and not Path("trained").exists()


def a_pickle():
    return pickle.dumps({"weights": [1, 2, 3]})


def a_file(entry):
    return save({"x": torch.zeros(2)}, metadata={entry: json.dumps({"model": "m", "weights": {}})})


HOSTILE = {
    "empty": ({}, "holds no trained.safetensors"),
    "elsewhere": ({"../trained.safetensors": MASK.read_bytes(), "model.bin": b"x"}, "holds no trained.safetensors"),
    "pickle": ({"trained.safetensors": a_pickle()}, "is no safetensors file"),
    "foreign": ({"trained.safetensors": save({"x": torch.zeros(2)})}, "is no mask, mask generator or fine-tuned U-Net"),
    "cut": ({"trained.safetensors": MASK.read_bytes()[:-40]}, "is damaged, or not what its header says"),
    "header": ({"trained.safetensors": struct.pack("<Q", 2**62) + b"{}"}, "is no safetensors file"),
    "lying": ({"trained.safetensors": a_file("maskunet-mask-1")}, "is damaged, or not what its header says"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_strangers_repository_is_refused_in_a_sentence_and_nothing_is_kept(kind, hub, capsys, tmp_path):
    files, says = HOSTILE[kind]
    hub.repos["eve/x"] = files
    code, told = said(capsys, "download", "hf://eve/x", "--model", "tabletop")
    assert (code, told.count("\n")) == (2, 1) and says in told and "“hf://eve/x”" in told
    assert not Path("trained").exists() and not list(tmp_path.rglob("*.safetensors"))


def test_a_file_that_is_too_large_is_refused_before_a_byte_of_it(hub, capsys):
    hub.repos["eve/large"], hub.said["trained.safetensors"] = {"trained.safetensors": b""}, 5 * 2**30
    code, told = said(capsys, "download", "hf://eve/large", "--model", "tabletop")
    assert code == 2 and "has 5.4 GB; at most 4.3 GB are fetched this way" in told
    assert not [path for _, path in hub.asked if "resolve" in path]


@pytest.mark.parametrize("address", ["hf://", "hf://../x", "hf://a", "hf://a/b/c", "hf://a/.."])
def test_what_is_no_address_is_told(address, hub, capsys):
    code, told = said(capsys, "download", address, "--model", "tabletop")
    assert code == 2 and "is no address. It is written hf://OWNER/NAME." in told and not hub.asked


def test_a_long_address_has_a_short_name_of_its_own():
    names = {hub_parts.local_name(f"hf://{'o' * 40}/{'n' * 60}{end}") for end in "ab"}
    assert len(names) == 2 and all(len(name) <= 64 for name in names)


def test_what_is_not_there_or_cannot_be_reached_is_told(hub, capsys, monkeypatch):
    assert "There is no “hf://ben/none”, or it is private" in said(capsys, "download", "hf://ben/none")[1]
    hub.server.server_close()
    hub.server.shutdown()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    code, told = said(capsys, "mask", "show", "hf://ben/red", "--model", "tabletop")
    assert code == 2 and "The Hub could not be reached for “hf://ben/red”" in told and told.count("\n") == 1
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in said(capsys, "mask", "show", "hf://ben/red", "--model", "tabletop")[1]


def test_nothing_is_uploaded_without_a_yes_a_token_or_room(hub, capsys, monkeypatch):
    push_red = ("push", "erase_red", "--model", "tabletop")
    code, told = said(capsys, *push_red, "--to", "anna/red")
    assert code == 2 and "Nothing was uploaded. To agree: python -m maskunet push erase_red --to anna/red --yes" in told
    hub.repos["anna/cats"] = {"config.json": b"{}", ".gitattributes": b""}
    told = said(capsys, *push_red, "--to", "anna/cats", "--yes", "--out", "cats")[1]
    assert "“anna/cats” holds something else, such as config.json. Give another name with --to." in told
    hub.refuses = 403
    told = said(capsys, *push_red, "--to", "anna/red", "--yes")[1]
    assert "The Hub refused “anna/red” (403). The token may not do this: hf auth login." in told
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "none")
    told = said(capsys, *push_red, "--to", "anna/red", "--yes")[1]
    assert "There is no Hugging Face token on this machine. Log in with one that may write: hf auth login" in told
    assert "anna/red" not in hub.repos and hub.repos["anna/cats"].keys() == {"config.json", ".gitattributes"}
    assert "is no address" in said(capsys, *push_red, "--to", "a/b/c", "--yes", "--out", "o")[1]
    names = said(capsys, "push", "nobody", "--model", "tabletop", "--dry-run")[1]
    assert (
        "There is no trained part called “nobody” for tabletop. There are: amplify_red, erase_orange, erase_red, erase_sphere, light"
        in names
    )


def test_a_dry_run_asks_nobody_and_its_card_may_be_changed_before_the_upload(hub, capsys):
    push_light = ("push", "light", "--model", "tabletop")
    code, told = said(capsys, *push_light, "--dry-run")
    assert code == 0 and not hub.asked and "It goes to OWNER/tabletop-light." in told
    card = Path("pushed/tabletop-light/README.md")
    text = card.read_text()
    assert text.startswith("---\n") and "license: apache-2.0" in text and model_card.NO_FIGURES in text
    assert file_hash(GENERATOR) in text and '"variant": "light"' in text
    card.write_text(text + "\nMy own words.\n")
    assert said(capsys, *push_light, "--yes")[0] == 0
    pushed = hub.repos["anna/tabletop-light"]["README.md"].decode()
    assert pushed.endswith("My own words.\n") and "OWNER" not in pushed and "hf://anna/tabletop-light" in pushed
    card.write_bytes("Mes propres mots, né hier.\n".encode("latin-1"))
    code, told = said(capsys, *push_light, "--dry-run")
    assert (code, told) == (2, "Line 1 of “README.md” is no UTF-8 text. Save the file as UTF-8.\n")
    card.write_text(pushed)
    told = said(capsys, *push_light, "--to", "anna/other", "--yes")[1]
    assert "names another place than anna/other" in told and "anna/other" not in hub.repos
    assert (
        "holds something else" in said(capsys, "push", "erase_red", "--model", "tabletop", "--out", str(card.parent))[1]
    )


def test_the_figures_of_a_card_are_those_of_its_own_record(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "evaluate --model tabletop --method held_mask --tasks two --n 2 --steps 1 --seed 1 --out"
    assert main([*words.split(), "mine", "--set", "mask=erase_red"]) == 0
    record = evaluate.record(Path("mine"))
    assert record["about"]["weights"]["trained/erase_red"] == file_hash(MASK)
    push_red = ("push", "erase_red", "--model", "tabletop", "--dry-run", "--evaluation")
    assert said(capsys, *push_red, "mine")[0] == 0
    text = Path("pushed/tabletop-erase_red/README.md").read_text()
    row = record["summary"][0]
    right = f"{row['correct']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
    reward = f"{row['reward']:.3f} ({row['reward_low']:.3f} to {row['reward_high']:.3f})"
    assert f"| two | 2 | {right} | {reward} |" in text and row["low"] <= row["correct"] <= row["high"]
    assert "tasks two, n 2, seed 1, split test" in text and model_card.NO_FIGURES not in text
    code, told = said(capsys, "push", "light", "--model", "tabletop", "--dry-run", "--evaluation", "mine", "--out", "o")
    assert code == 2 and "An evaluation was not made with this file of “light”" in told and not Path("o").exists()
    assert "“o” holds no evaluation" in said(capsys, *push_red, "o")[1]


def test_a_trainings_own_record_is_in_the_card(tmp_path, capsys, monkeypatch):
    place = tmp_path / "trained" / "tabletop" / "mine"
    place.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    (place / "trained.safetensors").write_bytes(GENERATOR.read_bytes())
    about = {"recipe": "mask_reward", "data": "tabletop", "examples": 1234, "settings": {"steps": 40}, "kept": 20}
    (place / "training.json").write_text(json.dumps(about))
    figures = {"removed": 0.1, "hpsv2_change": 0.02, "hpsv2_error": 0.01, "loss_change": 1.0}
    worse = {**figures, "hpsv2_change": -9.0}
    rows = [
        f'{step},1,1,1,0,"{json.dumps(f)}"'.replace('"{', "'{").replace('}"', "}'")
        for step, f in [(20, figures), (40, worse)]
    ]
    header = "step,loss,learning_rate,seconds,skipped,figures"
    (place / "log.csv").write_text(
        "\n".join([header, *(row.replace('"', '""').replace("'", '"') for row in rows)]) + "\n"
    )
    assert said(capsys, "push", "mine", "--model", "tabletop", "--dry-run")[0] == 0
    text = Path("pushed/tabletop-mine/README.md").read_text()
    assert "Recipe `mask_reward`, data: tabletop, 1,234 examples." in text and '"steps": 40' in text
    assert "| hpsv2 | +0.0200 (+0.0004 to +0.0396) |" in text and "-9" not in text and "| loss |" not in text


def test_a_license_that_nobody_knows_must_be_said():
    from dataclasses import replace

    from maskunet.models import SPECS

    assert {model_card.license_of(SPECS[name]) for name in ("sd15", "sd2")} == {"creativeml-openrail-m", "openrail++"}
    own = replace(SPECS["tabletop"], license="as stated by the model's maker")
    with pytest.raises(ValueError, match="--license NAME"):
        model_card.license_of(own)
    assert model_card.license_of(own, "mit") == "mit" and {"README.md"} <= push.OURS
