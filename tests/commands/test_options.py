"""Commands are found by being there, and their options make the parser, the instance and the line that is written."""

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from maskunet import plugins, records
from maskunet.commands import SPECS, base, generate, race, registry, sample
from maskunet.commands.base import CommandSpec, UsageError, command_line, key_value, option
from maskunet.commands.base.options import declared
from maskunet.commands.base.usual import MAX_SEED
from maskunet.methods import SPECS as METHODS
from maskunet.runs.command_line import written

ROOT = Path(__file__).parents[2]


def given(words, monkeypatch):
    """The options that a command gets from these words."""
    seen = []
    spec = SPECS[words[0]]
    caught = CommandSpec(name=spec.name, title=spec.title, options=spec.options, run=seen.append)
    monkeypatch.setattr(registry, "SPECS", {**SPECS, spec.name: caught})
    assert registry.main(list(words)) == 0
    return seen[0]


VALUES = {"bool": True, "int": 7, "float": 1.5, "str": "it's $x", "Path": Path("a b.safetensors")}


def other_value(card, flag):
    """A value that is not the option's default."""
    if flag.repeat is dict:
        return {"share": 0.5, "name": "a b", "on": True}
    if flag.repeat:
        return (flag.read("one=a b"), flag.read("two=c"))
    if card.kind == "tuple":
        return card.default[:-1] or (*card.default, *card.default) or flag.read("0.5,1.0")
    if flag.metavar == "NAME=VALUES":
        return flag.read("seed=1,2")
    if card.kind == "float" and card.high is not None:
        return card.high
    return card.choices[-1] if card.choices else VALUES[card.kind]


def uses(options):
    """What a command's options go with, each once, such as an action and an operation; of most all go with anything."""
    flags, found = {card.name: flag for card, flag in declared(options)}, []
    for flag in flags.values():
        for other, choices in flag.only_for.items():
            for choice in choices:
                use, only_for = {other: choice}, flags[other].only_for
                while only_for:
                    (other, choices), *_ = only_for.items()
                    use, only_for = {other: choices[0], **use}, flags[other].only_for
                found += [] if use in found else [use]
    return found or [{}]


USES = [(name, use) for name, spec in SPECS.items() for use in uses(spec.options)]


@pytest.mark.parametrize(("name", "use"), USES, ids=[" ".join((name, *use.values())) for name, use in USES])
def test_no_option_is_forgotten_in_the_line_that_is_written(name, use, monkeypatch):
    values, groups = {}, set()
    for card, flag in declared(SPECS[name].options):
        fits = not flag.only_for or any(use.get(other) in choices for other, choices in flag.only_for.items())
        if fits and (not flag.one_of or flag.one_of not in groups):
            values[card.name] = other_value(card, flag)
            groups.add(flag.one_of)
    options = SPECS[name].options(**values | use)
    words = shlex.split(command_line(name, options))
    assert words[:4] == ["python", "-m", "maskunet", name]
    assert given(words[3:], monkeypatch) == options


def test_every_option_that_would_be_ignored_is_refused_in_a_sentence():
    told = []
    for name, use in USES:
        for card, flag in declared(SPECS[name].options):
            if flag.only_for and not any(use.get(other) in choices for other, choices in flag.only_for.items()):
                value = 0.5 if card.name == "dose" else other_value(card, flag)  # whose highest is its default
                with pytest.raises(UsageError, match=f"^{flag.names(card.name)[0]} goes with "):
                    SPECS[name].options(**{card.name: value} | use)
                told.append(name)
    assert {*told} == {"concept", "mask", "vote"}


def test_only_numbers_lose_a_zero_behind_the_point_in_the_line_that_is_written():
    line = written("race", {"methods": ("maskunet_trained:v1.0", "plain"), "rates": (1.0, 0.5, 2), "of": ["v2.0"]})
    assert line == "python -m maskunet race --methods=maskunet_trained:v1.0,plain --rates=1,0.5,2 --of=v2.0"


def test_what_is_left_out_has_its_default_and_places_are_not_told(monkeypatch):
    options = given(["race", "--out", "somewhere/r"], monkeypatch)
    assert options == race.Options(out=Path("somewhere/r"))
    line = command_line("race", options)
    assert line.endswith("--out=r --model=auto")
    assert "--prompts=60" in line and "--steps" not in line and "--report-only" not in line


def test_a_model_that_was_left_to_auto_is_written_by_its_name(monkeypatch):
    """Elsewhere auto may choose another one."""
    options = given(["race", "--out", "r"], monkeypatch)
    assert command_line("race", options, model="tabletop").endswith("--model=tabletop")
    named = given(["race", "--out", "r", "--model", "tabletop_web"], monkeypatch)
    assert command_line("race", named, model="tabletop_web").endswith("--model=tabletop_web")
    own = given(["race", "--out", "r", "--weights", "model"], monkeypatch)
    assert "--model=auto --weights=model" in command_line("race", own, model="model")


def test_a_flag_may_have_two_names_and_may_be_given_twice(monkeypatch):
    words = ["sample", "--prompts=p", "--out=o", "--n", "3", "--set", "a=1", "--set", "b=no", "--set", "a=2"]
    options = given(words, monkeypatch)
    assert (options.first, options.set) == (3, {"a": 2, "b": "no"})


def test_a_setting_that_is_a_text_stays_as_it_was_written():
    @dataclass(frozen=True)
    class Settings:
        name: str = plugins.setting("", "of a training")
        rate: float = plugins.setting(1.0, "of learning")

    for text in ("3", "1.10", "1e3", "true", "-0.50", "007", ".50", '"3"'):
        given = dict([key_value(f"name={text}"), key_value(f"rate={'.001' if text == '3' else '1e-3'}")])
        settings = plugins.chosen({"only": Settings()}, "x", overrides=given)
        assert (settings.name, settings.rate) == (text.strip('"'), 0.001)
        assert (type(settings.name), type(settings.rate)) == (str, float)  # a checkpoint holds no other kinds
        assert json.loads(json.dumps(given))["rate"] == 0.001


@pytest.mark.parametrize("value", ["[" * 200_000, '{"a":' * 200_000, "[" * 990 + "]" * 990, "9" * 5000, "{", "nan["])
def test_a_value_that_is_no_json_that_can_be_read_is_a_text(value, capsys):
    name, found = key_value(f"a={value}")
    assert name == "a" and (found == value or isinstance(found, list))
    assert registry.main(["generate", "--prompt=x", "--method=plain", "--out=o", f"--set=second_order={value}"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("The setting second_order ") and told.count("\n") == 1


def test_every_seed_of_a_command_takes_what_a_request_takes():
    assert MAX_SEED == records.MAX_SEED
    kinds = [spec.options for spec in SPECS.values()]
    limits = {card.high for kind in kinds for card, _ in declared(kind) if card.name == "seed"}
    assert limits == {MAX_SEED}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: race.Options(prompts=0, out=Path("r")), "--prompts must be at least 1"),
        (lambda: race.Options(prompts=True, out=Path("r")), "--prompts must be a whole number, not True"),
        (lambda: race.Options(optimize="beauty", out=Path("r")), "--optimize is 'beauty'; allowed is"),
        (lambda: generate.Options(out=Path("r")), "exactly one of --prompt and --replay must be given"),
        (
            lambda: generate.Options(out=Path("r"), prompt="x", replay=Path("y")),
            "exactly one of --prompt and",
        ),
        (lambda: sample.run(sample.Options(prompts=Path("none.txt"), out=Path("r"))), "“none.txt” cannot"),
    ],
)
def test_in_a_notebook_a_mistake_is_a_value_error(wrong, says):
    with pytest.raises(ValueError, match=says):
        wrong()


def test_a_commands_own_options_come_before_the_shared_ones():
    @dataclass(frozen=True, kw_only=True)
    class Options(base.ModelOptions):
        mine: int = option(1)
        model: str = option("other")

    added = ("lora", "lora_masks", "embedding")
    assert [card.name for card, _ in declared(Options)] == ["model", "mine", "weights", *added, "device"]
    assert {each.name for each in fields(Options)} == {"model", "mine", "weights", *added, "device"}


def test_a_usage_error_says_where_to_look(monkeypatch, capsys):
    def refuse(options):
        raise UsageError("not so")

    spec = CommandSpec(name="doctor", title="", options=SPECS["doctor"].options, run=refuse)
    monkeypatch.setattr(registry, "SPECS", {"doctor": spec})
    with pytest.raises(SystemExit) as stop:
        registry.main(["doctor"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "maskunet: not so (--help shows what is allowed)\n"


# What is there


def linked(place, files):
    """A copy of the package by links, with more files by their paths."""
    (place / "visualize").symlink_to(ROOT / "visualize")
    for path, text in files.items():
        for folder in [*Path(path).parents][-2::-1]:  # from the package down
            if (place / folder).is_symlink():
                (place / folder).unlink()
            (place / folder).mkdir(exist_ok=True)
            for other in (ROOT / folder).iterdir():
                if not (place / folder / other.name).exists():
                    (place / folder / other.name).symlink_to(other)
        (place / path).write_text(text)


def python(folder, *words):
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


HELLO = """
from dataclasses import dataclass
from maskunet.commands import base
from maskunet.commands.base import CommandSpec, option

@dataclass(frozen=True, kw_only=True)
class Options(base.Options):
    name: str = option("you", "who is greeted", positional=True)

def run(options):
    print("Hello,", options.name)

SPEC = CommandSpec(name="hello", title="greet somebody", options=Options, run=run)
"""


def test_a_new_file_is_a_command_and_new_benches_and_judges_are_choices(tmp_path):
    choices = {
        "bench": "maskunet/bench/dreams.py",
        "benchmark": "maskunet/evaluation/benchmarks/taste.py",
        "score": "maskunet/evaluation/extractors/nose.py",
        "race": "maskunet/rewards/joy.py",
    }
    linked(tmp_path, {"maskunet/commands/hello.py": HELLO, **dict.fromkeys(choices.values(), "")})
    assert "hello     greet somebody" in python(tmp_path, "-m", "maskunet", "--help").stdout
    assert "who is greeted" in python(tmp_path, "-m", "maskunet", "hello", "--help").stdout
    assert python(tmp_path, "-m", "maskunet", "hello", "world").stdout == "Hello, world\n"
    for command, path in choices.items():
        assert Path(path).stem in python(tmp_path, "-m", "maskunet", command, "--help").stdout


def test_help_loads_neither_numpy_nor_pillow_nor_torch_so_that_it_is_quick():
    code = """if True:
        import json, sys
        from maskunet.commands.registry import main
        for words in (["--help"], ["race", "--help"], ["tabletop", "--help"]):
            try:
                main(words)
            except SystemExit:
                pass
        heavy = {"numpy", "PIL", "torch", "diffusers", "transformers", "gradio", "tqdm"} & set(sys.modules)
        sys.stderr.write(json.dumps(sorted(heavy)))"""
    done = python(ROOT, "-c", code)
    assert json.loads(done.stderr) == []
    assert "usage: maskunet race" in done.stdout


@pytest.mark.parametrize(
    "package", ["bench", "evaluation.benchmarks", "evaluation.extractors", "rewards", "commands", "methods"]
)
def test_what_is_listed_by_its_file_is_named_so(package):
    found = plugins.discover(f"maskunet.{package}")
    assert tuple(found) == plugins.names(f"maskunet.{package}")


# Lists


def said(words, capsys):
    assert registry.main(words) == 0
    return capsys.readouterr().out


def test_methods_are_listed_with_their_presets(capsys):
    out = said(["methods"], capsys)
    for spec in METHODS.values():
        assert f"{spec.name}: {spec.summary}\n    presets: {', '.join(spec.presets)}\n" in out


def test_the_settings_of_a_method_are_told_with_what_is_allowed(capsys):
    lines = said(["methods", "maskunet_free", "--preset", "paper"], capsys).splitlines()
    told = {line.split()[0]: line for line in lines if line}
    for card in plugins.cards(METHODS["maskunet_free"].settings("paper")):
        assert card.help in told[card.name]
    assert told["updates"].split()[1:5] == ["15", "0", "to", "100"]
    assert "one_sided, logistic, none" in told["noise"]
    assert "true or false" in told["keep_best"]


def test_the_settings_of_a_recipe_are_told(capsys):
    out = said(["recipes", "lora"], capsys)
    assert "presets: paper, tabletop; these are the values of paper" in out
    assert "mask_generator: " in said(["recipes"], capsys)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["methods", "magic"], "There is no method “magic”"),
        (["methods", "plain", "--preset", "magic"], "plain has no preset “magic”"),
        (["recipes", "magic"], "there is no recipe “magic”; there are dreambooth, dreambooth_lora"),
    ],
)
def test_what_is_not_listed_is_one_sentence(words, says, capsys):
    try:
        code = registry.main(words)
    except SystemExit as stop:
        code = stop.code
    err = capsys.readouterr().err
    assert code == 2 and says in err and err.count("\n") == 1
