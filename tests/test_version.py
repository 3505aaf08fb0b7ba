"""The version is written in one place, and everything else takes it from there."""

import re
import subprocess
from importlib.metadata import distributions

from rendered import ROOT, VERSION

#: The place; and files that `kubectl apply -k` and npm take as they are.
HOLDERS = [
    "k8s/components/images/kustomization.yaml",
    "shared/javascript/package.json",
    "shared/streaming/pyproject.toml",
]

#: Records of the past, and files that tools write; tests/clients has versions of other people.
PASSED = {"CHANGELOG.md", "docs/benchmarks.md", "docs/load.md", "uv.lock"}


def test_no_other_file_has_a_version_of_ours() -> None:
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    # After an equals sign without spaces it is that of somebody else's package.
    literal = re.compile(rf"(?<![\w.=]){re.escape(VERSION)}(?![\w.])")
    found = [
        name
        for name in listing.stdout.splitlines()
        if name not in PASSED and not name.endswith("/uv.lock")
        if not name.startswith("tests/clients/")
        if (ROOT / name).is_file()
        if literal.search((ROOT / name).read_text(errors="replace"))
    ]
    assert found == HOLDERS


def test_every_member_has_the_version() -> None:
    found = {
        each.name: each.version for each in distributions() if each.name.startswith("eddyline")
    }
    assert len(found) >= 7
    assert set(found.values()) == {VERSION}
