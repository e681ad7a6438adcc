"""Requests as Hypothesis makes them: sensible ones, ones at the edge, and rubbish; and what a good refusal looks like."""

import string
import sys
from pathlib import Path

import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from maskunet.methods import SPECS
from maskunet.plugins import cards
from maskunet.records import MAX_GUIDANCE, MAX_PROMPT, MAX_SEED

ROOT = Path(__file__).parents[2]
SCENES = st.sampled_from(["a red cube", "a blue sphere and a red cube", "a cat left of a dog", "a red cat"])
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=80)
PATHS = st.sampled_from(["../../etc/passwd", "/etc/passwd", "C:\\x\\y", "~/.ssh/id_rsa", "file:///etc/passwd"])
RUBBISH = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.just(10**400), st.just(-(10**5000)), PATHS,
    st.text(max_size=40), st.text(string.printable, max_size=300), st.just("x" * (MAX_PROMPT + 1)),
    st.just("\ud800"), st.just("a\x00b"), st.just("<script>alert(1)</script>"), st.binary(max_size=8),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)  # fmt: skip
FEW = 4  # steps, updates or pictures: what may be a hundred is not asked for


def drive(n, made, check):
    """Try the check on n made examples, the same ones every time."""

    @settings(
        max_examples=n,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate),
    )
    @given(made)
    def each(example):
        check(example)

    each()


def sensible():
    """Requests that a visitor makes, as keywords of `Request`; every one must work."""
    methods = [
        st.fixed_dictionaries({"method": st.just(name), "preset": st.sampled_from(["", *spec.presets])})
        for name, spec in SPECS.items()
    ]
    rest = {
        "prompt": SCENES,
        "negative_prompt": st.sampled_from(["", "blue"]),
        "seed": st.integers(0, MAX_SEED),
        "steps": st.integers(1, 2),
        "guidance": st.none() | st.floats(1, MAX_GUIDANCE),
        "model": st.just("tiny"),
    }
    return st.builds(lambda way, rest: way | rest, st.one_of(methods), st.fixed_dictionaries(rest))


def at_the_edge():
    """Any text, and settings within their ranges; a combination may be refused."""
    return sensible().flatmap(
        lambda request: st.fixed_dictionaries(
            {
                **{name: st.just(value) for name, value in request.items()},
                "prompt": TEXT,
                "settings": some_settings(request["method"]),
            }
        )
    )


def some_settings(method):
    """A few settings of a method, each within the range that its field names."""
    kinds = {card.name: _values(card) for card in cards(SPECS[method].settings())}
    one = st.sampled_from(sorted(kinds)).flatmap(lambda name: st.tuples(st.just(name), kinds[name]))
    return st.lists(one, max_size=4).map(dict)


def _values(card):
    if card.choices:
        return st.sampled_from(card.choices)
    if card.kind == "bool":
        return st.booleans()
    if card.low is None:
        return TEXT | SCENES | PATHS
    if card.kind == "int":
        return st.integers(card.low, min(card.high, card.low + FEW))
    return st.floats(card.low, card.high)


def rubbish():
    """A sensible request in which something is not: a value, a setting, or everything."""

    def spoil(request):
        names = ["prompt", "negative_prompt", "seed", "model", "method", "preset", "steps", "guidance"]
        wrong = st.dictionaries(st.sampled_from(names), RUBBISH, min_size=1, max_size=8)
        others = st.dictionaries(
            st.sampled_from(["updates", "removed", "n", "generator", "groups", "x"]) | RUBBISH_NAMES, RUBBISH
        )
        return st.tuples(wrong, st.just({}) | others).map(lambda two: request | two[0] | {"settings": two[1]})

    return sensible().flatmap(spoil).filter(lambda request: not _long(request))


RUBBISH_NAMES = st.text(max_size=8)


def _long(request):
    """Whether it may be a valid request that takes minutes."""
    counts = [request["steps"], *(request["settings"].get(name) for name in ("updates", "n", "particles"))]
    return request["steps"] is None or any(isinstance(n, int | float) and FEW < n <= 100 for n in counts)


def assert_clear(message, *places):
    """One sentence or two on one line, that tell nothing of this machine."""
    assert message and message == message.strip() and message[0].isprintable(), repr(message)
    assert message[-1] in ".)”" and len(message) < 700, repr(message)
    assert all(c.isprintable() for c in message), repr(message)
    inside = ("Traceback", "site-packages", ".py", "object at 0x", "Something failed", str(ROOT), sys.prefix)
    for word in (*inside, *map(str, places)):
        assert word not in message, repr(message)


def weights_of(model):
    """A copy of everything that a run could change."""
    parts = {"unet": model.unet, "vae": model.vae, "text": model.text_encoder}
    tensors = {f"{k}.{n}": v.clone() for k, part in parts.items() for n, v in part.state_dict().items()}
    return (
        tensors,
        [type(m) for m in model.unet.modules()],
        [p.requires_grad for p in model.unet.parameters()],
    )


def assert_unchanged(model, before):
    """The model is bit-equal to what it was, with nothing left in it."""
    tensors, kinds, grads = weights_of(model)
    assert (kinds, grads, tensors.keys()) == (before[1], before[2], before[0].keys())
    assert all(torch.equal(value, before[0][name]) for name, value in tensors.items())
    assert all(p.grad is None for p in model.unet.parameters())
