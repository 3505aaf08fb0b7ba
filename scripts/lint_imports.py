#!/usr/bin/env python3
"""Checks which package may import which: `lint_imports.py`, with arguments of import-linter's own.

pyproject.toml has the contracts of the library, and that of a service those of its own rooms. The
contracts between services are made here for each folder of `services/`, because import-linter takes
no pattern for a root package.
"""

import json
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from importlinter.cli import lint_imports_command

ROOT = Path(__file__).parents[1]

#: The members that use the suite as its clients do.
CLIENTS = ["loadtests", "bench"]

TOGETHER = "eddyline_standalone"


def main() -> None:
    packages = sorted(ROOT.glob("services/*/eddyline_*/__init__.py"))
    sys.path += [str(package.parents[1]) for package in packages]
    names = [package.parent.name for package in packages]
    config = settings(ROOT)
    config["root_packages"] = sorted({*config["root_packages"], *names})
    config["contracts"] += contracts([name for name in names if name != TOGETHER])
    for package in packages:
        config["contracts"] += settings(package.parents[1]).get("contracts", [])
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(as_toml(config))
        file.flush()
        lint_imports_command([*sys.argv[1:], "--config", file.name])


def settings(member: Path) -> dict[str, Any]:
    """The table [tool.importlinter] of its pyproject.toml, which may have none."""
    tools = tomllib.loads((member / "pyproject.toml").read_text()).get("tool", {})
    return dict(tools.get("importlinter", {}))


def contracts(services: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "name": "Services never import each other",
            "type": "independence",
            "modules": services,
        },
        forbidden("The library imports no service", ["eddyline"], [*services, TOGETHER]),
        forbidden("Only standalone puts the services together", services, [TOGETHER, *CLIENTS]),
        forbidden("Clients import no service", CLIENTS, [*services, TOGETHER]),
    ]


def forbidden(name: str, importers: list[str], imported: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "type": "forbidden",
        "source_modules": importers,
        "forbidden_modules": imported,
    }


def as_toml(config: dict[str, Any]) -> str:
    """The table [tool.importlinter]; texts, lists and booleans are written as in JSON."""
    contracts = config.pop("contracts")
    lines = [
        "[tool.importlinter]",
        *(f"{key} = {json.dumps(value)}" for key, value in config.items()),
    ]
    for contract in contracts:
        lines.append("[[tool.importlinter.contracts]]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in contract.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
