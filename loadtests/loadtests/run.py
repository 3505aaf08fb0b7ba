"""One run: keeps the measures of this process, a point each second, and has the workers report."""

import time
from typing import Any

import gevent
from locust.runners import MasterRunner, WorkerRunner

from loadtests.measures import Measures, Role

#: Seconds in which all workers must have reported, when a run ends.
LAST_REPORTS = 15.0

_REPORT = "millrace-report"
_REPORTED = "millrace-reported"


def install(environment: Any) -> None:
    """Gives the environment its `measures`, and keeps them; call it by Locust's event `init`."""
    runner, hooks = environment.runner, environment.events
    role: Role = "alone"
    if isinstance(runner, MasterRunner):
        role = "master"
    elif isinstance(runner, WorkerRunner):
        role = "worker"
    measures = environment.measures = Measures(role)
    measures.users = lambda: runner.user_count
    hooks.test_start.add_listener(lambda **_: measures.begin())
    gevent.spawn(_tick, measures)
    if role == "worker":
        hooks.report_to_master.add_listener(
            lambda client_id, data: data.update(measures=measures.delta())
        )
        runner.register_message(_REPORT, _report)
        return
    if role == "master":
        hooks.worker_report.add_listener(lambda client_id, data: measures.merge(data["measures"]))
        # Users run until here, and nothing is counted of how they are stopped.
        hooks.test_stopping.add_listener(lambda **_: _await_reports(runner))
    hooks.test_stopping.add_listener(lambda **_: measures.end())


def _tick(measures: Measures) -> None:
    while True:
        now = time.time()
        measures.tick(now)
        gevent.sleep(1 - now % 1)


def _report(environment: Any, **_: Any) -> None:
    environment.runner._send_stats()
    environment.runner.send_message(_REPORTED)


def _await_reports(runner: Any) -> None:
    """Locust stops its workers, and waits half a second for what they still have to say."""
    clients = runner.clients
    awaited = {client.id for client in clients.ready + clients.spawning + clients.running}
    runner.register_message(_REPORTED, lambda msg, **_: awaited.discard(msg.node_id))
    runner.send_message(_REPORT)
    with gevent.Timeout(LAST_REPORTS, False):
        while awaited:
            gevent.sleep(0.02)
