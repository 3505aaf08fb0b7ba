"""gunicorn's configuration for streams: the shutdown arithmetic, and metrics of several workers.

drain notice + window < uvicorn's graceful end < graceful_timeout <= timeout
"""

from itertools import count
from typing import Any, Final

from eddyline.errors import SettingsError
from eddyline.server.server import GRACE
from eddyline.service.settings import Settings, exit_on_bad_settings
from eddyline.telemetry.workers import free_slot, take_slot

try:
    _settings = Settings.read()
except SettingsError as _error:
    exit_on_bad_settings(_error)

#: Seconds until all streams have ended; the rest is cut 1.5 s later (drain.py).
_drained = _settings.drain_notice + _settings.drain_window + 1.5

bind: Final = f"{_settings.host}:{_settings.port}"
forwarded_allow_ips: Final = _settings.forwarded_allow_ips
keepalive: Final = _settings.keep_alive
worker_class = "eddyline.server.worker.StreamWorker"
graceful_timeout: Final = int(_drained + GRACE + 2)
timeout: Final = graceful_timeout + 5
# A stream is one request, however long: recycling by count is off by default.
max_requests: Final = _settings.max_requests
max_requests_jitter: Final = _settings.max_requests // 10
control_socket_disable = True
accesslog = None
# The same format as telemetry/logs.py. A worker's own logging is configured by its app.
logconfig_dict: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "eddyline.telemetry.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"level": _settings.log_level.upper(), "handlers": ["stderr"]},
    "loggers": {"gunicorn.error": {"level": _settings.log_level.upper()}},
}


def pre_fork(server: Any, worker: Any) -> None:
    """Gives the worker the lowest slot for its metrics that no living worker has.

    A master's pid is in the names of its slots: after USR2 two masters write to one folder.
    """
    taken = {other.slot for other in server.WORKERS.values()}
    slots = (f"{server.pid}-{number}" for number in count())
    worker.slot = next(slot for slot in slots if slot not in taken)


def post_fork(server: Any, worker: Any) -> None:
    """Called in the new worker, before it imports its app."""
    take_slot(worker.slot)


def child_exit(server: Any, worker: Any) -> None:
    """Takes a dead worker out of the gauges, however it died; its counters stay."""
    try:
        free_slot(worker.slot)
    except OSError as error:
        # From here it would end the master, and with it all streams.
        server.log.warning("The gauges of a dead worker stay until its slot is taken: %r", error)
