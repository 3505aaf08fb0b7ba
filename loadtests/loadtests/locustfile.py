"""Users of all kinds of streams: `make load-headless` while `make run` runs; exits 1 if one failed.

Locust's `--host` is the origin of them all. Without it each has its own: `EVENTS_URL` and so on.
"""

from typing import Any

from locust import events

from loadtests import knobs, run, tab, users

# Locust takes the classes of users that it finds in this module.
globals().update(users.classes())


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
