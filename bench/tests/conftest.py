"""The programs in C, built once."""

import os
import shutil
import sys
from pathlib import Path

import pytest

# In its importlib mode pytest names this file bench.tests.conftest, after the folders, and for that
# puts a namespace `bench` in the place of the package of the same name.
if getattr(sys.modules.get("bench"), "__file__", None) is None:
    sys.modules.pop("bench", None)


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds `load` and `floor`."""
    from bench.tools import build

    if shutil.which("cc") is None and "CI" not in os.environ:
        pytest.skip("no C compiler: apt-get install gcc libc6-dev")
    folder = tmp_path_factory.mktemp("programs")
    for name in ("load", "floor"):
        build(name, folder)
    return folder
