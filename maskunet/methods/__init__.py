"""One way of making a picture per file; each ends in a SPEC and is found by its presence."""

from collections.abc import Mapping

from maskunet.methods.base import MethodSpec
from maskunet.plugins import discover

SPECS = discover(__name__)


def method_of(name: str, methods: Mapping[str, MethodSpec] = SPECS) -> MethodSpec:
    """The method of that name.

    Raises:
        ValueError: there is none; says which there are.
    """
    if name not in methods:
        raise ValueError(f"There is no method “{name}”. There are: {', '.join(methods)}.")
    return methods[name]


def method_for(kind: str) -> MethodSpec:
    """The first method that takes trained files of this kind (`trained_file.kinds`).

    Raises:
        ValueError: none does.
    """
    for spec in SPECS.values():
        if kind in spec.takes.values():
            return spec
    raise ValueError(f"No method takes a trained file of the kind “{kind}”. One must name it in its SPEC, as `takes`.")
