"""The users: a module for each kind of stream, which has the name of the kind."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

#: The kinds of streams that there are users of.
KINDS = tuple(sorted(module.name for module in iter_modules(__path__)))


def classes() -> dict[str, type[Any]]:
    """The classes of all users by name: this imports Locust, which replaces sockets."""
    found: dict[str, type[Any]] = {}
    for kind in KINDS:
        module = import_module(f"{__name__}.{kind}")
        for name, value in vars(module).items():
            if getattr(value, "__module__", "") == module.__name__ and hasattr(value, "knob"):
                found[name] = value
    return found
