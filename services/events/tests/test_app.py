"""The service as a server asks for it."""

import importlib
import os
import subprocess
import sys

import pytest
from pydantic import SecretStr

import eddyline_events.app
from eddyline.errors import SettingsError
from eddyline.testing import fetch, running
from eddyline_events.settings import EventsSettings


async def test_health_and_metrics() -> None:
    async with running(eddyline_events.app.create_app(EventsSettings())) as hub:
        for path, content in [
            ("/livez", b"alive"),
            ("/readyz", b"ready"),
            ("/metrics", b"eddyline_streams_open"),
        ]:
            async with await fetch(hub.url + path) as stream:
                assert stream.status == 200
                assert content in await stream.body()


def test_importing_the_module_reads_no_environment() -> None:
    code = "import os; os.environ['EVENTS_JOURNAL_BYTES'] = 'many'; import eddyline_events.app"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("EVENTS_JOURNAL_BYTES", "many"),
        ("EDDYLINE_HOST", "192.0.2.1"),
        ("EDDYLINE_WORKERS", "2"),
        ("EVENTS_REDIS", "1"),
    ],
)
def test_bad_settings_end_the_process_with_code_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    importlib.reload(eddyline_events.app)
    with pytest.raises(SystemExit) as raised:
        _ = eddyline_events.app.app
    assert raised.value.code == 3
    assert variable in capsys.readouterr().err


def test_a_fresh_process_ends_so_too_without_a_traceback() -> None:
    environment = os.environ | {"EVENTS_JOURNAL_BYTES": "many"}
    code = "from eddyline_events.app import app"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "EVENTS_JOURNAL_BYTES" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_hub_without_a_bus_reports_none() -> None:
    settings = EventsSettings(hub="without-a-bus")
    async with running(eddyline_events.app.create_app(settings)) as hub:
        async with await fetch(hub.url + "/metrics") as stream:
            assert b'hub="without-a-bus"' not in await stream.body()


def test_an_unknown_scheme_is_told_at_start() -> None:
    with pytest.raises(SettingsError, match="'kafka', expected one of memory://, redis://"):
        eddyline_events.app.create_app(EventsSettings(redis_url=SecretStr("kafka://host")))
