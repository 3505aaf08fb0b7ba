"""The master's workers: the reports of each, which of them left, and whether all have reported."""

from typing import Any

import gevent

from loadtests.measures import Measures

#: Seconds in which all workers must have reported, when a run ends.
LAST_REPORTS = 15.0

#: Seconds between two looks at the workers that are there.
LOOK = 1.0

_REPORT = "eddyline-report"
_REPORTED = "eddyline-reported"


class Workers:
    """The workers of a master's runner.

    The last observations of workers that leave during a run are unknown, and nobody is told: Locust
    gives their users to the others.
    """

    def __init__(self, runner: Any, measures: Measures) -> None:
        self._runner = runner
        self._measures = measures
        self._running = False
        self._awaited: set[str] = set()
        self._left: set[str] = set()
        runner.register_message(_REPORTED, lambda msg, **_: self._awaited.discard(msg.node_id))
        gevent.spawn(self._watch)

    def merge(self, client_id: str, data: dict[str, Any]) -> None:
        self._measures.merge(data["measures"], client_id)

    def begin(self) -> None:
        self._measures.keep(self._runner.clients)
        self._left.clear()
        self._running = True

    def _watch(self) -> None:
        while True:
            gevent.sleep(LOOK)
            # Users that have stopped are away for a moment.
            if self._running:
                self._look()

    def _look(self) -> None:
        self._left |= self._measures.keep(self._runner.clients)

    def end(self) -> None:
        """Locust stops its workers, and waits half a second for their last reports."""
        self._look()
        self._running = False
        clients = self._runner.clients
        there = clients.ready + clients.spawning + clients.running
        self._awaited.update(client.id for client in there)
        self._runner.send_message(_REPORT)
        with gevent.Timeout(LAST_REPORTS, False):
            while self._awaited:
                gevent.sleep(0.02)
        # The observations of their users are not known.
        if silent := len(self._awaited) + len(clients.missing):
            self._measures.note(f"workers that did not report: {silent}")
        if self._left:
            self._measures.note(f"workers that left: {len(self._left)}")


def answer(runner: Any) -> None:
    """A worker reports when its master asks for it."""

    def report(environment: Any, **_: Any) -> None:
        environment.runner._send_stats()
        environment.runner.send_message(_REPORTED)

    runner.register_message(_REPORT, report)
