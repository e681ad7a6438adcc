"""Who may import whom, read from the source."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("maskunet", "visualize")
CODE = [ROOT / "app.py", *(p for package in PACKAGES for p in sorted((ROOT / package).rglob("*.py")))]

# Imports go down: never up, and never sideways between rooms of a floor.
FLOORS = (
    ("plugins",),
    ("records", "diffusion", "encoders", "prompts", "seeds", "tabletop", "machine", "failures"),
    ("masks", "models", "rewards", "visualize"),
    ("methods", "training", "evaluation"),
    ("runs", "library"),
    ("studio", "ui", "experiments", "bench"),
    ("commands", "lab", "app"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# Two rooms know less than lies below them: judges know no contestant, and the studio is handed to the page.
NARROW = {
    "evaluation": ("maskunet.records", "maskunet.encoders", "maskunet.prompts", "maskunet.tabletop", "maskunet.plugins",
                   "maskunet.machine", "maskunet.failures", "maskunet.rewards"),
    "ui": ("maskunet.records", "maskunet.plugins", "maskunet.failures", "maskunet.runs.run_folder", "visualize"),
    "app": ("maskunet.ui", "maskunet.studio", "maskunet.machine", "maskunet.plugins"),
}  # fmt: skip
HEAVY = {"diffusers", "transformers", "open_clip", "torchvision", "peft", "accelerate", "gradio", "spacy"}
WITHOUT_TORCH = ("records", "ui", "visualize", "plugins", "app")
PLUG_INS = {  # rooms whose files know only their room's base, and the ones that are made of another one
    "maskunet/models/": {}, "maskunet/rewards/": {}, "maskunet/evaluation/metrics/": {},
    "maskunet/evaluation/benchmarks/": {}, "maskunet/evaluation/extractors/": {}, "visualize/": {},
    "maskunet/ui/tabs/": {},
    "maskunet/methods/": {
        "syngen_maskunet": "maskunet.methods.maskunet_free", "fine_tuned": "maskunet.methods.plain",
        "maskunet_amortized": "maskunet.methods.maskunet_trained",
    },
    "maskunet/commands/": {"score": "maskunet.commands.features", "figure": "maskunet.commands.table", "mask": "maskunet.commands.generate"},
    "maskunet/bench/": {"operations": "maskunet.bench.loop.flops", "memory": "maskunet.bench.loop.held", "training": "maskunet.bench.loop"},
}  # fmt: skip


def name(path):
    return path.relative_to(ROOT).as_posix()


def nodes(tree, on_import):
    """Every node, or only those that run when the file is imported: no function's inside, nothing for type checkers."""
    for node in ast.iter_child_nodes(tree):
        yield node
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        later |= isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not (on_import and later):
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


def room(module):
    """The room of a module: the file or folder directly in maskunet/, or visualize, or app."""
    first, *more = module.split(".")
    return more[0] if first == "maskunet" and more else first


def broken_rules(path, source):
    """What a file does that it may not, one sentence each."""
    used, at_once = imports(source), imports(source, on_import=True)
    mine = room(name(path).removesuffix(".py").replace("/", "."))
    ours = {m for m in used if under(m, ("maskunet", "visualize", "app")) and room(m) != mine}
    rules = {m: "imports are absolute" for m in used if m.startswith(".")}
    if mine in FLOOR:
        rules |= {m: "not a floor below" for m in ours if FLOOR.get(room(m), -1) >= FLOOR[mine]}
        rules |= {m: f"not for {mine}" for m in ours if mine in NARROW and not under(m, NARROW[mine])}
    if mine not in ("ui", "app"):
        rules |= {m: "only the page may" for m in used if under(m, ["gradio"])}
    if mine in WITHOUT_TORCH:
        rules |= {m: "no torch here" for m in used if under(m, HEAVY - {"gradio"} | {"torch"})}
    if mine != "ui":
        heavy = HEAVY | ({"torch"} if mine == "machine" else set())
        rules |= {m: "only inside functions" for m in at_once if under(m, heavy)}
    rules |= {m: "tests and examples are no libraries" for m in used if under(m, ("tests", "examples"))}
    return {f"{name(path)} imports {module}: {rule}" for module, rule in rules.items()}


def test_every_room_has_its_floor_and_there_are_few():
    inside = {p.stem for p in (ROOT / "maskunet").iterdir() if not p.name.startswith("__")}
    assert inside <= set(FLOOR) and len(inside) <= 28


@pytest.mark.parametrize("path", CODE, ids=name)
def test_imports_go_down_only(path):
    assert not broken_rules(path, path.read_text())


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("maskunet/studio/studio.py", "from maskunet.ui import page"),
        ("maskunet/studio/studio.py", "from maskunet.experiments import study"),
        ("maskunet/studio/studio.py", "import app"),
        ("maskunet/studio/queue.py", "def f():\n    import gradio"),
        ("maskunet/studio/queue.py", "from tests import tiny"),
        ("maskunet/ui/html/live.py", "def f():\n    import torch.nn as nn"),
        ("maskunet/ui/html/live.py", "from maskunet.runs import compare"),
        ("maskunet/ui/html/live.py", "from maskunet.studio import Studio"),
        ("maskunet/masks/mask.py", "from maskunet.methods.base import MethodSpec"),
        ("maskunet/masks/mask.py", "from maskunet import models"),
        ("maskunet/records/run.py", "import torch"),
        ("maskunet/records/run.py", "from . import mask_set"),
        ("maskunet/records/run.py", "from maskunet.prompts import words"),
        ("maskunet/diffusion.py", "import maskunet.masks"),
        ("maskunet/machine.py", "import torch"),
        ("maskunet/methods/plain.py", "from maskunet.training import loop"),
        ("maskunet/rewards/hpsv2.py", "try:\n    import open_clip\nexcept ImportError:\n    pass"),
        ("maskunet/encoders/clip.py", "class A:\n    from transformers import CLIPModel"),
        ("maskunet/evaluation/features.py", "from maskunet.models.base import from_folder"),
        ("maskunet/evaluation/features.py", "def f():\n    from maskunet import methods"),
        ("maskunet/masks/sites_of.py", "if True:\n    import diffusers"),
        ("visualize/curve.py", "def f():\n    from maskunet.masks.mask import unpack"),
        ("app.py", "import gradio\nfrom maskunet.methods import SPECS"),
        ("maskunet/library/library.py", "from maskunet.commands import base"),
    ],
)
def test_a_wrong_import_would_be_noticed(path, source):
    assert broken_rules(ROOT / path, source)


@pytest.mark.parametrize("folder", PLUG_INS)
def test_plug_ins_know_only_their_base(folder):
    package = folder.rstrip("/").replace("/", ".")
    files = [p for p in (ROOT / folder).glob("*.py") if p.stem not in ("__init__", "base", "registry")]
    assert files
    for path in files:
        siblings = {m for m in imports(path.read_text()) if under(m, [package])}
        allowed = [f"{package}.base", *filter(None, [PLUG_INS[folder].get(path.stem)])]
        assert all(under(m, allowed) for m in siblings), path.name


@pytest.mark.parametrize("path", CODE, ids=name)
def test_files_stay_short_and_are_named_for_what_they_do(path):
    assert len(path.read_text().splitlines()) <= 350
    assert path.stem not in ("utils", "helpers", "common", "manager", "misc")


# What follows from a model alone, so that all visitors may share it.
MEMORIES = {"maskunet/masks/counting.py": {"_LAYOUTS"}, "maskunet/experiments/journal.py": {"_held"}}
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


@pytest.mark.parametrize("change", ["LAST['a'] = 1", "LAST.update(a=1)", "global LAST; LAST = 1", "del LAST['a']"])
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


TEXT_MODE = re.compile("[rwax]t?[+]?|[+]")


def says_no_encoding(call):
    """Whether a call reads or writes a text as the machine's locale has it, which loses or refuses what people write."""
    if not isinstance(call.func, ast.Attribute | ast.Name) or any(each.arg == "encoding" for each in call.keywords):
        return False
    called = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id
    if called == "open":
        modes = [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        return not call.args or any(map(TEXT_MODE.fullmatch, modes))
    return len(call.args) < {"read_text": 1, "write_text": 2}.get(called, 0)


def test_every_text_is_read_and_written_in_the_same_encoding_on_every_machine():
    texts = {name(p): text for p in CODE if re.search(r"(_text|open)\(", text := p.read_text(encoding="utf-8"))}
    calls = [(file, each) for file, text in texts.items() for each in ast.walk(ast.parse(text))]
    assert [(file, c.lineno) for file, c in calls if isinstance(c, ast.Call) and says_no_encoding(c)] == []
    wrong = ("p.read_text()", "p.write_text('x')", "p.open()", "p.open('a')", "open('x', 'w')", "p.open(newline='')")
    right = ("p.read_text('utf-8')", "p.write_text('x', encoding='utf-8')", "p.open('rb')", "page.open(run)")
    found = [says_no_encoding(ast.parse(each, mode="eval").body) for each in (*wrong, *right)]
    assert found == [True] * len(wrong) + [False] * len(right)


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
