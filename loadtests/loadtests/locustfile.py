"""Users of all five services: `make load-headless` while `make run` runs; exits 1 if one failed.

Locust's `--host` is the origin of them all. Without it each has its own: `EVENTS_URL` and so on.
"""

from typing import Any

from locust import events

from loadtests import knobs, run, tab
from loadtests.chat import ChatReader
from loadtests.downloads import Downloader
from loadtests.events import Churner, EventSubscriber, Publisher, Resumer, SlowReader
from loadtests.logs import LogFollower
from loadtests.records import RecordsReader

__all__ = [
    "ChatReader",
    "Churner",
    "Downloader",
    "EventSubscriber",
    "LogFollower",
    "Publisher",
    "RecordsReader",
    "Resumer",
    "SlowReader",
]


@events.init_command_line_parser.add_listener
def add_arguments(parser: Any, **_: Any) -> None:
    knobs.add_arguments(parser)


@events.init.add_listener
def install(environment: Any, **_: Any) -> None:
    run.install(environment)
    if environment.web_ui:
        tab.add(environment, environment.measures.snapshot, knobs.NAMES)


@events.quitting.add_listener
def finish(environment: Any, **_: Any) -> None:
    run.finish(environment)
