#!/usr/bin/env python3
"""Sabotages the product on purpose, and shows whether the tests notice: `make mutants`.

The list is in tests/mutations. Each sabotage is applied to a copy of this checkout, in a temporary
folder with an environment of its own; then the tests that are named for it run there. Before all
others they run on the copy as it is: a test that fails anyway would notice nothing.

The exit code is 1 where a sabotage was missed.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[1]
LISTS = "tests/mutations"

#: Seconds for the tests of one sabotage, and for all tests: some sabotages make a stream hang.
PATIENCE = 600
PATIENCE_FOR_ALL = 3600

#: pytest's exit code where tests ran, and one failed. Any other but 0 is a fault of the run.
FAILED = 1

_FAILED_TEST = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", re.MULTILINE)

Result = Literal["caught", "MISSED", "BROKEN"]


@dataclass(frozen=True)
class Mutation:
    """One sabotage: `old`, which stands once in `file`, becomes `new`; one of `tests` must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def mutations(root: Path = ROOT) -> list[Mutation]:
    """All of the list. Raises TypeError for a sabotage with an unknown or a missing field."""
    return [
        Mutation(**(entry | {"tests": tuple(entry["tests"])}))
        for path in sorted((root / LISTS).glob("*.toml"))
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutation"]
    ]


def fault(mutation: Mutation, root: Path = ROOT) -> str | None:
    """Why a sabotage cannot be applied or noticed in this checkout; None where it can."""
    for name in (mutation.file, *mutation.tests):
        if not (root / name).exists():
            return f"there is no {name}"
    count = (root / mutation.file).read_text(encoding="utf-8").count(mutation.old)
    if count != 1:
        return f"its old text stands {count} times in {mutation.file}: write it anew"
    return None


def main(arguments: Sequence[str]) -> int:
    options = _arguments().parse_args(arguments)
    chosen = [
        each
        for each in mutations()
        if all(word in f"{each.file} {each.name}" for word in options.words)
    ]
    faults = [f"{each.name}: {why}" for each in chosen if (why := fault(each)) is not None]
    if faults or not chosen:
        print("\n".join(faults) or f"no sabotage is named {options.words}", file=sys.stderr)
        return 1
    with _copy() as copy:
        results = [_tell(each, *_try(each, copy, options.all)) for each in chosen]
    caught = results.count("caught")
    print(f"{caught} of {len(results)} sabotages caught")
    return 0 if caught == len(results) else 1


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/mutants.py", description="Sabotage a copy of the product, and run its tests."
    )
    parser.add_argument(
        "words", nargs="*", help="only sabotages whose names or files hold all of these"
    )
    parser.add_argument("--all", action="store_true", help="run all of `make test` for each")
    return parser


@contextmanager
def _copy() -> Iterator[Path]:
    """A checkout of its own, with all that is not committed yet, and installed."""
    with tempfile.TemporaryDirectory(prefix="eddyline-mutants-") as folder:
        copy = Path(folder) / "eddyline"
        _run(["git", "clone", "--quiet", "--shared", str(ROOT), str(copy)], ROOT)
        changed = ["git", "ls-files", "--modified", "--others", "--exclude-standard"]
        for name in _run(changed, ROOT).splitlines():
            (copy / name).unlink(missing_ok=True)
            if (ROOT / name).exists():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, copy / name)
        if (ROOT / ".tools").exists():
            (copy / ".tools").symlink_to(ROOT / ".tools")
        _run(["make", "--no-print-directory", "setup"], copy)
        yield copy


def _run(command: Sequence[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def _try(mutation: Mutation, copy: Path, every: bool) -> tuple[Result, str, float]:
    """The result, the test that failed, and seconds."""
    file = copy / mutation.file
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        code, output, seconds = _suite(copy) if every else _pytest(copy, mutation.tests, "-x")
    finally:
        file.write_text(text, encoding="utf-8")
    if code == 0:
        return "MISSED", "", seconds
    test = _FAILED_TEST.search(output)
    if code != FAILED or test is None:
        return "BROKEN", output[-2000:], seconds
    if _pytest(copy, [test[1]])[0] != 0:
        return "BROKEN", f"{test[1]} fails without the sabotage, too", seconds
    return "caught", test[1], seconds


def _suite(copy: Path) -> tuple[int, str, float]:
    return _timed(["scripts/test", "-x"], copy, PATIENCE_FOR_ALL)


def _pytest(copy: Path, tests: Sequence[str], *options: str) -> tuple[int, str, float]:
    command = [str(copy / ".venv/bin/python"), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    return _timed([*command, *options, *tests], copy, PATIENCE)


def _timed(command: Sequence[str], copy: Path, patience: float) -> tuple[int, str, float]:
    """The exit code, all output, and seconds. A suite that hangs has noticed, too."""
    began = time.monotonic()
    run = subprocess.Popen(
        command,
        cwd=copy,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = run.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        output = f"no end within {patience:g} s"
    finally:
        # Servers that a test has left behind, too.
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    code = run.returncode if run.returncode >= 0 else FAILED
    return code, output, time.monotonic() - began


def _tell(mutation: Mutation, result: Result, by: str, seconds: float) -> Result:
    print(f"{result}  {seconds:4.0f} s  {mutation.name}\n        {by}", flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
