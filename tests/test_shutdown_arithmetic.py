"""drain notice + window < uvicorn's graceful end < gunicorn's graceful timeout <= its timeout."""

import runpy

import pytest

from eddyline.server.server import GRACE
from eddyline.service.settings import Settings

#: Seconds after the window in which the rest is cut (drain.py).
CUT = 1.5


@pytest.mark.parametrize(("notice", "window"), [("", ""), ("0", "0"), ("5", "20"), ("10.5", "300")])
def test_each_stage_outlasts_the_one_before(
    monkeypatch: pytest.MonkeyPatch, notice: str, window: str
) -> None:
    monkeypatch.setenv("EDDYLINE_DRAIN_NOTICE", notice)
    monkeypatch.setenv("EDDYLINE_DRAIN_WINDOW", window)
    settings = Settings.read()
    gunicorn = runpy.run_module("eddyline.server.gunicorn")
    drained = settings.drain_notice + settings.drain_window
    stopped = drained + CUT + GRACE
    assert drained < stopped < gunicorn["graceful_timeout"] <= gunicorn["timeout"]
