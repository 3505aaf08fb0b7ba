"""The names of the library, the modules that they load, and the names that they need."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import eddyline

#: Modules that no install of the base brings.
EXTRAS = (
    *("cryptography", "fastapi", "gunicorn", "hiredis", "httptools", "httpx", "jwt"),
    *("prometheus_client", "pydantic", "pydantic_settings", "redis", "uvicorn", "uvicorn_worker"),
)
BASE = sorted(set(eddyline.__all__) - {"EventSource"})


def run(code: str) -> str:
    """The output of a fresh interpreter in which no extra can be imported."""
    without = f"import sys\nfor name in {EXTRAS!r}: sys.modules[name] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", without + code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_there_is_about_a_dozen_of_them():
    assert 10 <= len(eddyline.__all__) <= 15
    assert eddyline.__all__ == sorted(eddyline.__all__)
    assert set(eddyline.__all__) == set(eddyline._MODULES)
    assert set(eddyline.__all__) <= set(dir(eddyline))


@pytest.mark.parametrize("name", eddyline.__all__)
def test_a_name_is_the_one_of_its_module(name):
    assert getattr(eddyline, name) is getattr(import_module(eddyline._MODULES[name]), name)
    typed = f"from {eddyline._MODULES[name]} import {name} as {name}\n"
    assert typed in Path(eddyline.__file__).read_text()


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Hubb'"):
        _ = eddyline.Hubb  # type: ignore[attr-defined]


def test_the_base_needs_no_extra():
    assert run(f"import eddyline\nfor name in {BASE!r}: getattr(eddyline, name)") == ""


def test_an_extra_that_is_missing_is_named():
    code = "import eddyline\ntry: eddyline.EventSource\nexcept ImportError as error: print(error)"
    assert run(code) == (
        "eddyline.EventSource needs the module 'httpx': pip install 'eddyline[client]'"
    )
    code = "import eddyline\ntry: eddyline.Hub('redis://x')\nexcept Exception as e: print(e)"
    assert "install eddyline[redis]" in run(code)


def test_the_import_alone_and_the_health_check_stay_on_the_standard_library():
    code = "import sys, eddyline, eddyline.server.health\nprint([*sys.modules])"
    loaded = run(code)
    assert not [name for name in ("starlette", "orjson", "anyio", "asyncio") if name in loaded]


def test_neither_logging_nor_the_registry_of_metrics_is_touched():
    code = """
import asyncio, logging
import prometheus_client
import eddyline

def state():
    root = logging.getLogger()
    metrics = set(prometheus_client.REGISTRY._names_to_collectors)
    return root.level, list(root.handlers), root.disabled, metrics

async def use():
    for name in eddyline.__all__:
        getattr(eddyline, name)
    hub = eddyline.Hub()
    async with hub.lifespan():
        await hub.publish("orders", 1)

before = state()
asyncio.run(use())
print(before == state(), len(before[3]) > 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "True True"
