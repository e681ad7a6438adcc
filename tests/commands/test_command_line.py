"""python -m maskunet: the same pictures again, one sentence for every mistake, quick to start."""

import gc
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import maskunet
from maskunet.commands import tabletop
from maskunet.commands.registry import main
from maskunet.library.library import Loaded
from maskunet.records import Request
from maskunet.rewards.base import WeightedRewards
from maskunet.runs import run_folder
from maskunet.runs.command_line import command_line


class Red:
    """Stands in for a reward; calls `at` at every use."""

    sha256 = "0123456789abcdef"

    def __init__(self):
        self.at = lambda: None

    def __call__(self, image, prompts):
        self.at()
        return (image[:, 0] - image[:, 1]).mean((1, 2))


@pytest.fixture
def judge(tiny_sd15, tmp_path, monkeypatch):
    """Puts a small random model in the library's place, under the name it is asked for."""
    judge = Red()
    rewards = WeightedRewards({"image_reward": (judge, 1.0)})

    class Shelf:
        device = torch.device("cpu")

        def __init__(self, model, weights, device, **added):
            if model not in ("auto", "tiny"):
                raise NotImplementedError(model)
            self.default = "tiny"

        def find(self, name):
            return tmp_path / "model", dict.fromkeys(rewards.weights, tmp_path / "rewards")

        def load(self, name):
            return Loaded(model=tiny_sd15, rewards=rewards)

    monkeypatch.setattr("maskunet.library.library.Library", Shelf)
    return judge


QUICK = ["--prompt", "a red cube", "--steps", "3", "--set", "updates=2", "--set", "early_steps=0"]


def generate(out, *more):
    return main(["generate", *more, "--out", str(out)])


def python(*words, **environment):
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
    )


def test_a_reader_that_has_read_enough_is_no_error():
    words = [sys.executable, "-m", "maskunet", "methods"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as listing:
        listing.stdout.close()  # long before it writes
        assert listing.stderr.read() == ""
    assert listing.returncode == 141


def test_generate_writes_the_run_and_says_what_came_out(judge, tmp_path, capsys):
    code = generate(tmp_path / "a", *QUICK, "--method=maskunet_free", "--preset=paper", "--seed=7")
    assert code == 0
    run = run_folder.read(tmp_path / "a")
    assert (run.request.seed, run.request.preset, run.request.steps) == (7, "paper", 3)
    assert (run.settings["updates"], run.settings["learning_rate"]) == (2, 0.01)
    assert run.request.settings == {"updates": 2, "early_steps": 0}
    assert run.base_image is not None
    out, err = capsys.readouterr()
    assert out.startswith("done: ")
    assert f"{run.rewards['total']:.4f}" in out
    assert "plain: 100%" in err
    assert "maskunet_free: 100%" in err


def test_a_run_is_not_replaced_by_that_of_another_request(judge, tmp_path, capsys):
    assert generate(tmp_path / "a", *QUICK, "--seed=5") == 0
    assert generate(tmp_path / "a", *QUICK, "--seed=6") == 2
    assert "“a” holds the run of another request. Give another --out." in capsys.readouterr().err
    assert run_folder.read(tmp_path / "a").request.seed == 5
    assert generate(tmp_path / "a", *QUICK, "--seed=5", "--model=tiny") == 0  # the very same, written in another way


def test_no_base_and_keep_masks(judge, tmp_path, capsys):
    assert generate(tmp_path / "a", *QUICK, "--no-base", "--keep-masks") == 0
    names = {p.name for p in (tmp_path / "a").iterdir()}
    assert names == {"result.png", "run.json", "steps.csv", "masks.safetensors", "sites.npz", "sites.csv"}


def test_large_masks_are_kept_only_if_someone_agrees(judge, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("maskunet.commands.generate.ASK", 100)
    asked = (*QUICK, "--no-base", "--keep-masks")
    with pytest.raises(SystemExit):
        generate(tmp_path / "a", *asked)
    told = capsys.readouterr().err
    assert "the masks of this run take 0.0 GB" in told and "give --yes to keep them" in told
    assert not (tmp_path / "a").exists()
    monkeypatch.setattr("shutil.disk_usage", lambda place: shutil._ntuple_diskusage(1, 1, 50))
    with pytest.raises(SystemExit):
        generate(tmp_path / "a", *asked, "--yes")
    assert "leave --keep-masks out" in capsys.readouterr().err


def test_large_masks_are_kept_with_yes(judge, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("maskunet.commands.generate.ASK", 100)
    assert generate(tmp_path / "a", *QUICK, "--no-base", "--keep-masks", "--yes") == 0
    assert (tmp_path / "a" / "masks.safetensors").is_file() and "The masks of this run take" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["run.json", "result.png"])
@pytest.mark.parametrize("more", [[], ["--no-base", "--keep-masks", "--guidance=2"]])
def test_a_replay_gives_the_same_bytes(judge, tmp_path, source, more):
    assert generate(tmp_path / "a", *QUICK, "--seed=5", *more) == 0
    assert generate(tmp_path / "b", "--replay", str(tmp_path / "a" / source)) == 0
    first, again = tmp_path / "a", tmp_path / "b"
    assert (first / "result.png").read_bytes() == (again / "result.png").read_bytes()
    if source == "run.json":
        assert {p.name for p in first.iterdir()} == {p.name for p in again.iterdir()}
        pictures = {"base.png", "masks.safetensors"} & {p.name for p in first.iterdir()}
        assert all((first / n).read_bytes() == (again / n).read_bytes() for n in pictures)
    assert generate(tmp_path / "c", *QUICK, "--seed=6", *more) == 0
    assert (first / "result.png").read_bytes() != (tmp_path / "c" / "result.png").read_bytes()


@pytest.mark.parametrize("given", [["--seed=5"], ["--method=plain", "--set", "removed=.5"], ["--model=tabletop_web"]])
def test_a_replay_refuses_what_it_would_not_follow(judge, tmp_path, capsys, given):
    assert generate(tmp_path / "a", *QUICK, "--no-base") == 0
    with pytest.raises(SystemExit):
        generate(tmp_path / "b", "--replay", str(tmp_path / "a" / "run.json"), *given)
    named = " ".join(dict.fromkeys(word.partition("=")[0] for word in given if word.startswith("--"))).replace(
        " ", ", "
    )
    assert f"--replay makes it as it was; leave out {named}" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_an_old_run_is_replayed_as_it_was_made_whatever_its_preset_means_now(judge, tmp_path):
    """A run of before: its record does not know the youngest setting, and its preset had other values."""
    asked = ["--method=fk_steering", "--preset=published", "--prompt=a red cube", "--steps=4", "--no-base"]
    before = ["--set", "as_published=false", "--set", "hpsv2=5.0"]
    assert generate(tmp_path / "now", *asked) == generate(tmp_path / "a", *asked, *before) == 0
    record = json.loads((tmp_path / "a" / "run.json").read_text())
    record["request"]["settings"] = {}
    del record["settings"]["as_published"]
    (tmp_path / "old.json").write_text(json.dumps(record))
    assert generate(tmp_path / "b", "--replay", str(tmp_path / "old.json")) == 0
    now, old, again = (run_folder.read(tmp_path / name) for name in ("now", "a", "b"))
    assert again.settings == old.settings
    assert np.array_equal(again.result_image, old.result_image)
    assert not np.array_equal(again.result_image, now.result_image)


def test_a_replay_of_the_base_picture_gives_its_pixels(judge, tmp_path):
    assert generate(tmp_path / "a", *QUICK) == 0
    assert generate(tmp_path / "b", "--replay", str(tmp_path / "a" / "base.png")) == 0
    base, again = run_folder.read(tmp_path / "a").base_image, run_folder.read(tmp_path / "b").result_image
    assert np.array_equal(base, again)


def test_ctrl_c_keeps_the_best_so_far(judge, tmp_path, capsys):
    calls = []

    def press():
        calls.append(1)
        if len(calls) == 6:
            os.kill(os.getpid(), signal.SIGINT)

    judge.at = press
    before = signal.getsignal(signal.SIGINT)
    assert generate(tmp_path / "a", *QUICK) == 0
    run = run_folder.read(tmp_path / "a")
    assert (run.state, run.note) == ("stopped", "Stopped on request.")
    assert len(calls) == 6
    assert signal.getsignal(signal.SIGINT) is before


REQUESTS = [
    {"prompt": "a red cube"},
    {"prompt": "--prompt -x 'y' \"z\" $HOME `ls` \\ \n<b>&"},
    {"prompt": "赤 красный", "negative_prompt": "-blue = sky", "seed": 2**32 - 1},
    {"prompt": "x", "preset": "paper", "steps": 7, "guidance": 1.5, "keep_masks": True},
    {
        "prompt": "x",
        "settings": {"updates": 3, "learning_rate": 0.5, "keep_best": True, "noise": "none"},
    },
]


@pytest.mark.parametrize("given", REQUESTS)
def test_the_command_line_of_a_request_makes_this_very_request(given, judge, tmp_path, monkeypatch):
    seen = []

    def compare(model, rewards, request, **more):
        seen.append(request)
        raise ValueError

    monkeypatch.setattr("maskunet.runs.compare.compare", compare)
    monkeypatch.chdir(tmp_path)
    request = Request(model="tiny", **given)
    words = shlex.split(command_line(request))
    assert words[:3] == ["python", "-m", "maskunet"]
    with pytest.raises(ValueError, match="^$"):
        main(words[3:])
    assert seen == [request]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--prompt", ""], "prompt is empty"),
        (["--prompt", "a" * 10_000], "10,000 characters"),
        (["--prompt", "a\x07b"], "control characters"),
        (["--prompt", "x", "--seed", "-2"], "seed is -2"),
        (["--prompt", "x", "--seed", "one"], "seed must be a number"),
        (["--prompt", "x", "--steps", "0"], "steps is 0"),
        (["--prompt", "x", "--guidance", "nan"], "guidance scale must be a number"),
        (["--prompt", "x", "--set", "updates"], "is not KEY=VALUE"),
        (["--prompt", "x", "--set", "updates=NaN"], "updates must be a number, a word, true or false"),
        (["--prompt", "x", "--set", "speed=1"], "no setting “speed”"),
        (["--prompt", "x", "--method", "magic"], "no method “magic”"),
        (["--prompt", "x", "--preset", "magic"], "no preset “magic”"),
        (["--replay", "nowhere.json"], "“nowhere.json” cannot be read"),
        (["--replay", "x.json", "--prompt", "x"], "not allowed with argument"),
        ([], "one of the arguments --prompt --replay is required"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(judge, tmp_path, capsys, words, says):
    try:
        code = generate(tmp_path / "a", *words)
    except SystemExit as exit_:
        code = exit_.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model", "sd99"], "There is no model “sd99”"),
        (["--model", "sd15"], "python -m maskunet download sd15"),
        (["--weights", "empty"], "“empty” holds no Stable Diffusion model"),
        (["--weights", "absent"], "“absent” holds no Stable Diffusion model"),
        (["--device", "abacus"], "There is no device “abacus”"),
    ],
)
def test_models_and_devices_that_are_not_here_are_one_sentence(tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "empty").mkdir()
    assert generate(tmp_path / "a", *words, "--prompt=x") == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err
    assert str(tmp_path) not in err


def test_the_module_runs_as_a_command_and_a_mistake_shows_no_traceback(tmp_path):
    done = python("-m", "maskunet", "generate", "--prompt=", f"--out={tmp_path / 'a'}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "The prompt is empty. Write what the picture should show.\n"


def test_a_run_of_another_model_says_so(judge, tmp_path, capsys):
    assert generate(tmp_path / "a", *QUICK) == 0
    path = tmp_path / "a" / "run.json"
    record = json.loads(path.read_text())
    capsys.readouterr()
    record["weights"] = dict.fromkeys(record["weights"], "0" * 64)
    (tmp_path / "other.json").write_text(json.dumps(record))
    assert generate(tmp_path / "b", "--replay", str(tmp_path / "other.json")) == 2
    err = capsys.readouterr().err
    assert "made with other weights than this tiny" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "b").exists()


def test_a_run_of_another_reward_is_refused_where_it_steered_and_told_where_it_only_scored(judge, tmp_path, capsys):
    assert generate(tmp_path / "a", *QUICK) == generate(tmp_path / "plain", *QUICK[:4], "--method=plain") == 0
    judge.sha256 = "f" * 64
    capsys.readouterr()
    assert generate(tmp_path / "b", "--replay", str(tmp_path / "a" / "run.json")) == 2
    assert "steered by another image_reward (01234567, here ffffffff)" in capsys.readouterr().err
    assert generate(tmp_path / "c", "--replay", str(tmp_path / "plain" / "run.json")) == 0
    assert "scored by image_reward 01234567 (here ffffffff)" in capsys.readouterr().err


def test_a_folder_with_other_files_is_refused_before_any_work(judge, tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("x")
    judge.at = lambda: pytest.fail("work began")
    assert generate(tmp_path, *QUICK) == 2
    assert "holds other files" in capsys.readouterr().err


def test_evaluate_prints_and_saves_a_table_with_n_and_intervals(judge, tmp_path, capsys, monkeypatch):
    class Blind:
        def see(self, image):
            return [[] for _ in image]

        def kinds(self, image):
            return ["clean" for _ in image]

    eyes = {"checker": Blind(), "inspector": Blind()}
    monkeypatch.setattr("maskunet.experiments.judges.with_eyes", lambda loaded: replace(loaded, **eyes))
    words = ["evaluate", "--method=plain", "--steps=2", "--tasks=single", "--n=3"]
    assert main([*words, "--seed=1", "--out", str(tmp_path)]) == 0
    table = capsys.readouterr().out
    assert "| single | 3 | 0.000 | 0.000 to" in table and "| all |" not in table
    for seed in ("90210", str(2**64 - 1), "-1"):
        assert main([*words, "--n=1", f"--seed={seed}", "--out", str(tmp_path / seed)]) == 0
    drawn = json.loads((tmp_path / "-1" / "evaluation.json").read_text())["about"]["seed"]
    assert f"The seed drawn is {drawn}." in capsys.readouterr().err and drawn >= 0
    saved = json.loads((tmp_path / "evaluation.json").read_text())
    assert len(saved["rows"]) == 3
    assert saved["about"]["request"]["method"] == "plain"
    assert (saved["about"]["request"]["steps"], saved["about"]["seed"]) == (2, 1)
    assert "prompt" not in saved["about"]["request"]


def test_a_drawn_seed_is_told_and_kept(judge, tmp_path, capsys):
    assert generate(tmp_path / "a", *QUICK, "--no-base", "--seed", "-1") == 0
    run = json.loads((tmp_path / "a" / "run.json").read_text())
    seed = run["request"]["seed"]
    said = capsys.readouterr()
    assert f"The seed drawn is {seed}." in said.err and f"seed {seed}" in said.out


def test_download_needs_an_agreement(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("maskunet.library.download.download", lambda name, consent: asked.append((name, consent)))
    for terminal, answer, words, agreed in (
        (False, "", [], False),
        (False, "", ["--yes"], True),
        (True, "n", [], False),
        (True, "", [], False),
        (True, "y", [], True),
    ):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda t=terminal: t))
        monkeypatch.setattr("builtins.input", lambda text, a=answer: a if "4.27 GB" in text else "?")
        main(["download", "sd15", *words])
        assert asked.pop() == ("sd15", agreed)


def test_a_step_of_tabletop_is_run_with_its_options(monkeypatch, capsys):
    seen = []
    monkeypatch.setitem(tabletop.STEPS, "unet", seen.append)
    assert main(["tabletop", "unet", "--minutes", "3"]) == 0
    assert seen == [tabletop.Options(step="unet", minutes=3.0)]
    with pytest.raises(SystemExit):
        main(["tabletop", "sleep"])
    assert "invalid choice: 'sleep'" in capsys.readouterr().err


def test_importing_the_package_brings_nothing_heavy():
    heavy = {"torch", "gradio", "numpy", "diffusers", "transformers", "matplotlib"}
    code = f"import sys, maskunet, maskunet.__main__; print(*sorted({heavy} & set(sys.modules)))"
    assert python("-c", code).stdout.split() == []


def test_listing_every_spec_brings_no_heavy_library():
    code = (
        "import sys, maskunet.models, maskunet.methods, maskunet.rewards;"
        "print(*sorted({'diffusers', 'transformers', 'open_clip', 'gradio'} & set(sys.modules)))"
    )
    done = python("-c", code)
    assert (done.returncode, done.stdout.strip()) == (0, "")


def test_every_public_name_is_there_and_no_other():
    for name in maskunet.__all__:
        assert getattr(maskunet, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = maskunet.nothing


def test_an_error_is_told_below_the_progress_and_nothing_is_drawn_after_it(judge, tmp_path, capfd):
    words = [
        "generate",
        "--model=tiny",
        "--method=syngen",
        "--prompt=13",
        "--steps=1",
        f"--out={tmp_path / 'a'}",
    ]
    assert main(words) == 2
    gc.collect()  # a progress bar that was left open is drawn once more when it goes
    said = capfd.readouterr().err
    assert "plain: 100%" in said
    assert said.splitlines()[-1].startswith("No noun was found in “13”.")
