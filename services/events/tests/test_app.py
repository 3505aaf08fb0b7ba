"""The service as a server asks for it."""

import subprocess
import sys

import pytest

import events.app
from events.settings import EventsSettings
from streaming.testing import fetch, running


async def test_health_and_metrics() -> None:
    async with running(events.app.create_app(EventsSettings())) as hub:
        for path, content in [
            ("/livez", b"alive"),
            ("/readyz", b"ready"),
            ("/metrics", b"millrace_streams_open"),
        ]:
            async with await fetch(hub.url + path) as stream:
                assert stream.status == 200
                assert content in await stream.body()


def test_importing_the_module_reads_no_environment() -> None:
    code = "import os; os.environ['EVENTS_JOURNAL_BYTES'] = 'many'; import events.app"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("EVENTS_JOURNAL_BYTES", "many"), ("MILLRACE_HOST", "192.0.2.1"), ("MILLRACE_WORKERS", "2")],
)
def test_bad_settings_end_the_process_with_code_3(variable: str, value: str) -> None:
    code = f"import os; os.environ[{variable!r}] = {value!r}; from events.app import app"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert variable in done.stderr
    assert "Traceback" not in done.stderr
