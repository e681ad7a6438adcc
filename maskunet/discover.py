"""Find the plug-ins of a package: every module in it that ends in a SPEC."""

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


def discover(package: str) -> Mapping[str, Any]:
    """Import the modules of a package in name order and return their SPECs by name, read-only.

    `base` is what the plug-ins share and has no SPEC.

    Raises:
        ImportError: a module has no SPEC, or two have the same name; says which.
    """
    found: dict[str, Any] = {}
    owners: dict[str, str] = {}
    for info in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if info.name == "base":
            continue
        spec = getattr(importlib.import_module(f"{package}.{info.name}"), "SPEC", None)
        if spec is None:
            raise ImportError(f"{package}/{info.name}.py has no SPEC. End it in one, or move it elsewhere.")
        if spec.name in found:
            raise ImportError(
                f"{package}/{info.name}.py and {owners[spec.name]}.py both call themselves “{spec.name}”."
            )
        found[spec.name], owners[spec.name] = spec, info.name
    return MappingProxyType(found)
