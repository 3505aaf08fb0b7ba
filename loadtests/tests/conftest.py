"""Makes `loadtests` the package again; fixtures that its tests share."""

import sys
import time
from typing import Any

import pytest

# In its importlib mode pytest names this file loadtests.tests.conftest, after the folders, and for
# that puts a namespace `loadtests` in the place of the package of the same name.
if getattr(sys.modules.get("loadtests"), "__file__", None) is None:
    sys.modules.pop("loadtests", None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the time."""

    def set_to(now: float) -> None:
        monkeypatch.setattr(time, "time", lambda: now)

    set_to(1000.0)
    return set_to
