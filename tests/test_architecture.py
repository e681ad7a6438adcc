"""Who may import whom, read from the source."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("maskunet", "visualize")
CODE = [ROOT / "app.py", *(p for package in PACKAGES for p in sorted((ROOT / package).rglob("*.py")))]

HEAVY = {"diffusers", "transformers", "open_clip", "torchvision", "peft", "accelerate", "gradio", "spacy"}
WITHOUT_TORCH = (
    "maskunet/ui/",
    "visualize/",
    "maskunet/records.py",
    "maskunet/environment.py",
    "maskunet/site_stats.py",
    "maskunet/discover.py",
    "maskunet/feature_records.py",
    "maskunet/train_records.py",
    "maskunet/prompt_files.py",
    "app.py",
)
ROOMS = (
    "maskunet/models/", "maskunet/rewards/", "maskunet/methods/", "maskunet/metrics/", "maskunet/benchmarks/",
    "maskunet/bench/", "visualize/",
)  # fmt: skip

# A method made of another one, which it then knows besides its room's base.
MADE_OF = {
    "maskunet/methods/syngen_maskunet.py": "maskunet.methods.maskunet_free",
    "maskunet/methods/fine_tuned.py": "maskunet.methods.plain",
    "maskunet/methods/maskunet_amortized.py": "maskunet.methods.maskunet_trained",
    "maskunet/bench/operations.py": "maskunet.bench.loop.flops",
    "maskunet/bench/memory.py": "maskunet.bench.loop.held",
}

# What of this project may be used; the first line that fits counts, and a file without one is free to
# use everything but the page.
DOORS = {
    "maskunet/untrusted.py": (),
    "maskunet/site_stats.py": ("maskunet.untrusted",),
    "maskunet/course.py": ("maskunet.untrusted",),
    "maskunet/records.py": ("maskunet.site_stats", "maskunet.course"),
    "maskunet/discover.py": (),
    "maskunet/counter_rng.py": (),
    "maskunet/environment.py": (),
    "maskunet/mask.py": ("maskunet.counter_rng",),
    "maskunet/schedule.py": (),
    "maskunet/sites.py": (),
    "maskunet/guidance.py": (),
    "maskunet/attention_maps.py": (),
    "maskunet/mask_search.py": (
        "maskunet.mask", "maskunet.guidance", "maskunet.masked_unet", "maskunet.methods.base", "maskunet.models.base",
        "maskunet.records", "maskunet.replayed", "maskunet.rewards.base",
    ),
    "maskunet/replayed.py": (),
    "maskunet/upsampling.py": (),
    "maskunet/candidates.py": ("maskunet.guidance", "maskunet.models.base", "maskunet.rewards.base"),
    "maskunet/prompts/": ("maskunet.prompts",),
    "maskunet/masked_unet.py": ("maskunet.sites", "maskunet.mask"),
    "maskunet/generator.py": ("maskunet.sites", "maskunet.mask", "maskunet.masked_unet", "maskunet.settings"),
    "maskunet/trained_file.py": (),
    "maskunet/unet_file.py": ("maskunet.trained_file",),
    "maskunet/generator_file.py": ("maskunet.trained_file", "maskunet.generator", "maskunet.sites"),
    "maskunet/store.py": ("maskunet.records",),
    "maskunet/collect.py": ("maskunet.site_stats", "maskunet.sites"),
    "maskunet/encoders/": (),
    "maskunet/prompt_files.py": (),
    "maskunet/processes.py": (),
    "maskunet/feature_set.py": (),
    "maskunet/features.py": ("maskunet.feature_set",),
    "maskunet/feature_records.py": (),
    "maskunet/feature_studio.py": (
        "maskunet.feature_set", "maskunet.feature_work", "maskunet.features", "maskunet.feature_records",
        "maskunet.records", "maskunet.extractors",
    ),
    "maskunet/metrics/": ("maskunet.metrics.base", "maskunet.statistics", "maskunet.discover"),
    # A benchmark of several parts is a package, which knows itself.
    "maskunet/benchmarks/geneval/": (
        "maskunet.benchmarks.base", "maskunet.benchmarks.geneval", "maskunet.prompt_files", "maskunet.rewards.base",
        "maskunet.statistics",
    ),
    "maskunet/benchmarks/": (
        "maskunet.benchmarks.base", "maskunet.prompt_files", "maskunet.prompts", "maskunet.rewards.base",
        "maskunet.statistics", "maskunet.discover", "maskunet.loading",
    ),
    "maskunet/models/tabletop.py": ("maskunet.models.base", "maskunet.tabletop"),
    "maskunet/models/": ("maskunet.models.base", "maskunet.schedule", "maskunet.upsampling", "maskunet.discover"),
    "maskunet/rewards/": ("maskunet.rewards.base", "maskunet.encoders", "maskunet.discover"),
    "maskunet/methods/": (
        "maskunet.methods.base", "maskunet.models.base", "maskunet.rewards.base", "maskunet.records", "maskunet.settings",
        "maskunet.masked_unet", "maskunet.generator", "maskunet.generator_file", "maskunet.unet_file", "maskunet.guidance",
        "maskunet.attention_maps", "maskunet.candidates", "maskunet.mask_search", "maskunet.replayed",
        "maskunet.schedule", "maskunet.prompts", "maskunet.mask", "maskunet.sites", "maskunet.site_stats", "maskunet.collect",
        "maskunet.discover",
    ),
    "maskunet/settings.py": (),
    "maskunet/train_records.py": (),
    "maskunet/training/sources.py": ("maskunet.training.data", "maskunet.tabletop.pairs"),
    "maskunet/training/": (
        "maskunet.training", "maskunet.train_records", "maskunet.masked_unet", "maskunet.generator",
        "maskunet.generator_file", "maskunet.unet_file", "maskunet.guidance", "maskunet.schedule", "maskunet.mask", "maskunet.sites",
        "maskunet.models.base", "maskunet.rewards.base", "maskunet.discover", "maskunet.settings",
    ),
    "maskunet/train_studio.py": (
        "maskunet.train_work", "maskunet.train_records", "maskunet.training.checkpoint", "maskunet.training.recipes",
        "maskunet.models", "maskunet.generator_file", "maskunet.unet_file", "maskunet.trained_file", "maskunet.settings",
        "visualize",
    ),
    "maskunet/ui/": ("maskunet.ui", "maskunet.records", "maskunet.site_stats", "maskunet.course", "maskunet.runs", "maskunet.feature_records", "maskunet.train_records", "visualize"),
    "visualize/": ("visualize", "maskunet.records", "maskunet.site_stats", "maskunet.course", "maskunet.train_records", "maskunet.discover"),
    "app.py": ("maskunet.ui", "maskunet.studio", "maskunet.environment"),
}  # fmt: skip
# What of other projects may be used, where that is a short list.
LIBRARIES = {
    "maskunet/records.py": {"numpy"},
    "maskunet/site_stats.py": {"numpy"},
    "maskunet/course.py": {"numpy", "PIL"},
    "maskunet/untrusted.py": {"numpy", "PIL"},
    "maskunet/discover.py": set(),
    "maskunet/counter_rng.py": {"numpy", "torch"},
    "maskunet/mask.py": {"numpy", "torch"},
    "maskunet/schedule.py": {"numpy", "torch"},
    "maskunet/sites.py": {"torch"},
    "maskunet/guidance.py": {"torch"},
    "maskunet/attention_maps.py": {"torch"},
    "maskunet/candidates.py": {"numpy", "torch"},
    "maskunet/prompts/": {"spacy"},
    "maskunet/masked_unet.py": {"torch"},
    "maskunet/generator.py": {"torch"},
    "maskunet/trained_file.py": {"safetensors"},
    "maskunet/unet_file.py": {"torch", "safetensors"},
    "maskunet/generator_file.py": {"torch", "safetensors"},
    "maskunet/feature_set.py": {"numpy"},
    "maskunet/prompt_files.py": {"numpy"},
    "maskunet/processes.py": {"torch"},
    "maskunet/features.py": {"numpy", "PIL"},
    "maskunet/feature_records.py": {"numpy"},
    "maskunet/feature_studio.py": set(),
    "maskunet/train_records.py": {"numpy"},
    "maskunet/train_studio.py": set(),
    "maskunet/metrics/": {"numpy", "scipy", "sklearn"},
    "maskunet/benchmarks/": {"numpy", "torch", "transformers", "huggingface_hub", "PIL"},
    "visualize/": {"numpy", "matplotlib", "sklearn", "umap"},
}


def name(path):
    return path.relative_to(ROOT).as_posix()


def nodes(tree, on_import):
    """Every node, or only those that run when the file is imported: no function's inside."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if not (on_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            yield from nodes(node, on_import)


def imports(source, on_import=False):
    """The modules a source names; `from a import b` counts as a.b, which may be a module or not."""
    found = set()
    for node in nodes(ast.parse(source), on_import):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def under(module, packages):
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


def first_fit(path, table):
    return next((value for start, value in table.items() if name(path).startswith(start)), None)


def broken_rules(path, source):
    """What a file does that it may not, one sentence each."""
    used, at_once = imports(source), imports(source, on_import=True)
    ours = {m for m in used if under(m, ("maskunet", "visualize", "app", "tests", "examples"))}
    theirs = {m.split(".")[0] for m in used - ours} - set(sys.stdlib_module_names)
    doors, libraries = first_fit(path, DOORS), first_fit(path, LIBRARIES)
    page = name(path).startswith(("maskunet/ui/", "app.py"))

    rules = {m: "imports are absolute" for m in used if m.startswith(".")}
    if doors is not None:
        doors = (*doors, *([MADE_OF[name(path)]] if name(path) in MADE_OF else []))
        rules |= {m: "not a door of this room" for m in ours if not under(m, doors)}
    if not page:
        rules |= {m: "only the page may" for m in used if under(m, ("gradio", "maskunet.ui", "app"))}
    if name(path).startswith(WITHOUT_TORCH):
        rules |= {m: "no torch here" for m in used if under(m, HEAVY - {"gradio"} | {"torch"})}
    if not name(path).startswith("maskunet/ui/"):
        rules |= {m: "only inside functions" for m in at_once if under(m, HEAVY)}
    if libraries is not None:
        rules |= dict.fromkeys(theirs - libraries, "not a library for this file")
    rules |= {m: "tests and examples are no libraries" for m in ours if under(m, ("tests", "examples"))}
    return {f"{name(path)} imports {module}: {rule}" for module, rule in rules.items()}


@pytest.mark.parametrize("path", CODE, ids=name)
def test_rooms_are_entered_through_their_doors(path):
    assert not broken_rules(path, path.read_text())


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("maskunet/studio.py", "from maskunet.ui import build"),
        ("maskunet/studio.py", "import app"),
        ("maskunet/jobs.py", "def f():\n    import gradio"),
        ("maskunet/jobs.py", "from tests import tiny"),
        ("maskunet/ui/live.py", "def f():\n    import torch.nn as nn"),
        ("maskunet/ui/live.py", "from maskunet import compare"),
        ("maskunet/ui/live.py", "from maskunet.studio import Studio"),
        ("maskunet/mask.py", "from maskunet.records import Run"),
        ("maskunet/mask.py", "import scipy.stats"),
        ("maskunet/records.py", "import torch"),
        ("maskunet/records.py", "from . import mask"),
        ("maskunet/masked_unet.py", "import maskunet.schedule"),
        ("maskunet/models/sd15.py", "from maskunet.models.sd2 import SPEC"),
        ("maskunet/methods/plain.py", "from maskunet.methods import random_mask"),
        ("maskunet/methods/plain.py", "from maskunet import tabletop"),
        ("maskunet/methods/syngen.py", "from maskunet.methods import maskunet_free"),
        ("maskunet/methods/syngen_maskunet.py", "from maskunet.methods import syngen"),
        ("maskunet/prompts/groups.py", "def f():\n    import torch"),
        ("maskunet/prompts/groups.py", "import spacy"),
        ("maskunet/rewards/hpsv2.py", "try:\n    import open_clip\nexcept ImportError:\n    pass"),
        ("maskunet/encoders/clip.py", "class A:\n    from transformers import CLIPModel"),
        ("maskunet/metrics/kernel.py", "from maskunet.metrics import frechet\nfrom maskunet import features"),
        ("maskunet/benchmarks/blip_vqa.py", "from maskunet.benchmarks.geneval import rules"),
        ("maskunet/benchmarks/geneval/colors.py", "from transformers import CLIPModel"),
        ("maskunet/features.py", "def f():\n    import torch"),
        ("maskunet/sites_of.py", "if True:\n    import diffusers"),
        ("visualize/curve.py", "def f():\n    from maskunet.mask import unpack"),
        ("app.py", "import gradio\nfrom maskunet.methods import SPECS"),
    ],
)
def test_a_wrong_door_would_be_noticed(path, source):
    assert broken_rules(ROOT / path, source)


@pytest.mark.parametrize("room", [room for room in ROOMS if (ROOT / room).is_dir()])
def test_plug_ins_know_only_their_base(room):
    package = room.rstrip("/").replace("/", ".")
    files = [p for p in (ROOT / room).glob("*.py") if p.stem not in ("__init__", "base")]
    assert files
    for path in files:
        siblings = {m for m in imports(path.read_text()) if under(m, [package])} - {MADE_OF.get(name(path))}
        assert all(under(m, [f"{package}.base"]) or m == f"{package}.base" for m in siblings), path.name


@pytest.mark.parametrize("path", CODE, ids=name)
def test_files_stay_short_and_are_named_for_what_they_do(path):
    assert len(path.read_text().splitlines()) <= 350
    assert path.stem not in ("utils", "helpers", "common", "manager", "misc")


# What follows from a model alone, so that all visitors may share it.
MEMORIES = {"maskunet/collect.py": {"_LAYOUTS"}}
CHANGING = {"append", "extend", "add", "update", "setdefault", "insert", "pop", "popitem", "remove", "clear"}


def shared(source):
    """What functions change of their module: every visitor would see it."""
    tree = ast.parse(source)
    targets = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
    targets += [node.target for node in tree.body if isinstance(node, ast.AnnAssign)]
    kept = {t.id for t in targets if isinstance(t, ast.Name)}
    found = set()
    for node in (n for one in ast.walk(tree) if isinstance(one, ast.FunctionDef) for n in ast.walk(one)):
        if isinstance(node, ast.Global):
            found |= {*node.names}
        elif isinstance(node, ast.Attribute) and node.attr in CHANGING and isinstance(node.value, ast.Name):
            found |= {node.value.id} & kept
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            found |= {node.value.id} & kept if isinstance(node.value, ast.Name) else set()
    return found


@pytest.mark.parametrize("path", CODE, ids=name)
def test_no_module_remembers_what_a_visitor_did(path):
    assert shared(path.read_text()) == MEMORIES.get(name(path), set())


@pytest.mark.parametrize(
    "change", ["LAST['a'] = 1", "LAST.update(a=1)", "global LAST; LAST = 1", "del LAST['a']"]
)
def test_a_module_that_remembers_would_be_noticed(change):
    assert shared(f"LAST = {{}}\ndef draw():\n    {change}\n") == {"LAST"}


# A path from the root of somebody's machine, but not the path of an address such as https://host/tmp/x.
MACHINE = re.compile(r"(?<![\w.}~-])/(?:work|opt|tmp|home|root|mnt|Users)\b(?!-)|\b[A-Z]:\\")


def written(*kinds):
    """The files of these kinds, and those without a kind; not the tests nor what a user's runs wrote."""
    found = [p for p in ROOT.iterdir() if p.is_file()]
    found += [p for folder in (*PACKAGES, "examples", "docs", ".ci") for p in (ROOT / folder).rglob("*")]
    return [p for p in found if p.suffix in kinds or p.name in ("LICENSE", "run")]


def places(paths):
    texts = {name(p): p.read_text(encoding="utf-8") for p in paths if p.is_file()}
    return {f"{file}: {found.group()}" for file, text in texts.items() if (found := MACHINE.search(text))}


def test_no_code_and_no_document_names_a_place_on_somebodys_machine():
    paths = written(".py", ".md", ".toml", ".txt", ".css", ".yml")
    assert {ROOT / "app.py", ROOT / "README.md", ROOT / "requirements.txt", *CODE} <= set(paths)
    assert not places(paths)


def test_no_shipped_configuration_names_a_place_on_somebodys_machine():
    assert not places(written(".json"))


def test_a_place_on_somebodys_machine_is_told_from_an_address():
    for given in ("cd /work/main", "'/opt'", "--find-links=/tmp/wheels", '{"_name_or_path": "/home/me/sd"}'):
        assert MACHINE.search(given), given
    for given in ("https://example.org/work/1", "and/or", "./opt/x", "{base}/tmp", "/worker", "w/opt"):
        assert not MACHINE.search(given), given
