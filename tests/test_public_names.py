"""What `import maskunet` gives: every public name, quickly and in any order; and the Python that the documentation shows."""

import ast
import os
import re
import subprocess
import sys
import textwrap
import traceback
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

import maskunet
from maskunet.lab import Lab
from maskunet.runs.notebook import plot
from tests.support import fresh
from tests.support.fresh import FRESH, ROOT
from tests.support.tiny import tiny_sd_folder, tiny_unet
from tests.test_architecture import CODE, imports, room

SPECS = {"methods", "models", "recipes", "rewards"}  # packages that list what they hold
NAMES = [name for name in maskunet.__all__ if name != "__version__"]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in CODE
    if path.name != "__main__.py" and path.parent != ROOT
}


def test_the_names_are_those_that_type_checkers_see():
    tree = ast.parse(Path(maskunet.__file__).read_text())
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in checked.body for alias in node.names}
    packages = {name: home.rpartition(".")[0] for name, home in maskunet._PACKAGES.items()}
    assert seen == {**maskunet._HOMES, **packages}
    assert set(NAMES) <= set(dir(maskunet))


def apart_each(codes, told):
    """Run each code in a child of its own, which finds the libraries of others loaded, but nothing of ours; tell what it tells."""
    for name in MODULES:
        import_module(name)
    fresh.forget()
    for code in codes:
        if not os.fork():
            try:
                exec(code, {"told": told})
            except BaseException:
                told.send(traceback.format_exc())
            os._exit(0)
        os.wait()


KINDS = """
import maskunet
kinds = {name: type(getattr(maskunet, name)).__name__ for name in maskunet.__all__}
import maskunet.runs.compare, maskunet.lab, maskunet.training.recipes, maskunet.studio.studio
assert kinds == {name: type(getattr(maskunet, name)).__name__ for name in maskunet.__all__}
told.send(kinds)
"""
ORDERS = [  # what could put a module in a name's place
    "",
    "import maskunet.lab, maskunet.runs.compare, maskunet.runs.run_folder, maskunet.commands.registry, visualize",
    "from maskunet import methods, models, rewards, recipes",
    f"from maskunet import {', '.join(reversed(NAMES))}",
]
FIRST = sorted({room(name): name for name in MODULES}.values())  # of every room its last module


@pytest.fixture(scope="module")
def apart():
    """What each of ORDERS and each import of FIRST tells in a process of its own."""
    if not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    codes = [order + KINDS for order in ORDERS] + [f"import {name}\ntold.send(True)" for name in FIRST]
    ours, theirs = FRESH.Pipe(duplex=False)
    process = FRESH.Process(target=apart_each, args=(codes, theirs))
    process.start()
    theirs.close()
    told = [ours.recv() for _ in codes]
    process.join()
    return told


def test_every_name_is_what_it_says_whatever_was_imported_before(apart):
    for kinds in apart[: len(ORDERS)]:
        assert isinstance(kinds, dict), kinds
        assert {name for name, kind in kinds.items() if kind == "module"} == SPECS
        assert all(kinds[name] == ("function" if name.islower() else "type") for name in {*NAMES} - SPECS)


def test_a_module_of_every_room_can_be_imported_first(apart):
    for name, said in zip(FIRST, apart[len(ORDERS) :], strict=True):
        assert said is True, (name, said)


def needs(name, source):
    """The modules that are imported while this one is, with the packages around them and around itself."""
    found = {name} if "discover(__name__)" not in source else {m for m in MODULES if m.startswith(f"{name}.")}
    for module in imports(source, on_import=True):
        while module not in MODULES and "." in module:
            module = module.rpartition(".")[0]
        found |= {module} & {*MODULES}
    around = {each.rsplit(".", up)[0] for each in found for up in range(1, each.count(".") + 1)}
    return (found | around) - {name}


def circles(graph):
    """The sets of modules that need each other."""

    def reached(start):
        seen, ahead = set(), [start]
        while ahead:
            new = graph[ahead.pop()] - seen
            seen |= new
            ahead += new
        return seen

    reach = {name: reached(name) for name in graph}
    inside = [name for name in graph if name in reach[name]]
    return {frozenset(b for b in inside if b in reach[a] and a in reach[b]) for a in inside}


def entered_anywhere(circle):
    """Whether a circle has no package around all of it, which Python would import before any of the others."""
    first = min(circle, key=len)
    return not all(f"{name}.".startswith(f"{first}.") for name in circle)


def test_the_order_of_imports_does_not_matter():
    """Modules that need each other are one package with its parts, whose order is the package's, whoever asks."""
    found = circles({name: needs(name, path.read_text()) for name, path in MODULES.items()})
    assert found and not [circle for circle in found if entered_anywhere(circle)]


def test_a_circle_that_depends_on_the_order_would_be_noticed():
    def graph(**changed):
        sources = dict.fromkeys(MODULES, "")
        sources |= {name.replace("__", "."): source for name, source in changed.items()}
        return {name: needs(name, source) for name, source in sources.items()}

    changed = {"maskunet__masks__mask": "import maskunet.masks.sites"}
    assert not circles(graph(**changed))
    changed["maskunet__masks__sites"] = "from maskunet.masks.mask import pack"
    assert [entered_anywhere(circle) for circle in circles(graph(**changed))] == [True]
    whole = graph(
        maskunet__masks="from maskunet.masks import mask", maskunet__masks__mask="import maskunet.masks.sites"
    )
    assert [entered_anywhere(circle) for circle in circles(whole)] == [False]


def test_the_packages_list_what_they_hold_by_name():
    for name in SPECS:
        package = getattr(maskunet, name)
        assert isinstance(package, ModuleType)
        assert package.SPECS and all(spec.name == key for key, spec in package.SPECS.items())


def test_importing_it_brings_neither_torch_nor_numpy_and_a_run_is_read_and_drawn_without_torch(tmp_path):
    run = next((ROOT / "examples" / "gallery").iterdir())
    code = f"""
import sys
import maskunet
assert not {{"torch", "numpy", "diffusers", "gradio", "PIL"}} & set(sys.modules)
run = maskunet.read({str(run)!r})
maskunet.save(run, {str(tmp_path / "run")!r})
maskunet.plot("reward_curve", run)
assert "torch" not in sys.modules
print(maskunet.read({str(tmp_path / "run")!r}).id == run.id)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr


def test_a_name_that_is_not_there_is_told():
    with pytest.raises(AttributeError, match="no attribute 'comparison'"):
        maskunet.comparison  # noqa: B018
    with pytest.raises(ValueError, match=r"There is no plot “curve”. There are: .*reward_curve"):
        plot("curve", None)


def shown(text):
    """The Python that a text shows: in Markdown between fences, in a docstring what is indented."""
    fenced = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join(
        fenced or [textwrap.dedent(each) for each in re.findall(r"(?:^ {4}.*\n|^\n)+", text, re.MULTILINE)]
    )


# In place of what takes long.
QUICK = {
    "n=20": "n=1",
    '{"steps": 350}': '{"steps": 1, "batch": 2}',
}


@pytest.fixture
def quick(tmp_path, monkeypatch, short_sheets):
    """Pictures of one step where the text says none, few scenes, in a folder of its own, and a small pipeline where the text has a large one."""
    request = Lab._request
    monkeypatch.setattr(
        Lab, "_request", lambda self, prompt, asked: request(self, prompt, {**asked, "steps": asked.get("steps") or 1})
    )
    monkeypatch.setattr("maskunet.tabletop.data.SHARD", 10)
    monkeypatch.chdir(tmp_path)
    tiny_sd_folder(tmp_path / "path" / "to" / "stable-diffusion-v1-5")


def run_shown(page, **given):
    code = shown(page)
    for long, short in QUICK.items():
        code = code.replace(long, short)
    exec(compile(code, "what is shown", "exec"), given)
    return given


def test_the_package_shows_what_runs(quick, capsys):
    pipe = SimpleNamespace(unet=tiny_unet())
    more = {
        "x_t": torch.randn(1, 4, 8, 8),
        "t": 599,
        "text": torch.randn(1, 7, 32),
        "torch": torch,
        "pipe": pipe,
    }
    made = run_shown(maskunet.__doc__, **more)
    assert made["again"].id == made["run"].id and made["eps"].shape == (1, 4, 8, 8) and made["eps"].requires_grad
    assert "| two | 1 |" in capsys.readouterr().out


def test_the_documentation_shows_what_runs(quick, capsys):
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert all(long in text for long in QUICK)
    made = run_shown(text)
    assert "Against the other, one pair" in capsys.readouterr().out
    assert made["lab"].rewards is made["published"] and made["run"].request.method == "maskunet_trained"
    assert all(logits.grad is not None for logits in made["logits"].values())
    assert "\n```" not in re.sub(r"^```(?:python)?\n.*?^```\n", "", text, flags=re.MULTILINE | re.DOTALL)
