"""One run: measures in each process, users and shape by the knobs, a verdict and its export."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import gevent
from locust.runners import MasterRunner, WorkerRunner

from loadtests import knobs, outcome, shapes, workers
from loadtests.knobs import NAMES, BadKnob
from loadtests.measures import Measures, Role
from loadtests.silence import Silence
from loadtests.verdict import BadThresholds, Thresholds, table


def install(environment: Any) -> None:
    """Gives the environment its `measures` and `silence`; call it by Locust's event `init`."""
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
    if role != "master":
        environment.silence = Silence(measures)
        hooks.user_error.add_listener(_on_crash)
    if role == "worker":
        hooks.report_to_master.add_listener(
            lambda client_id, data: data.update(measures=measures.delta())
        )
        workers.answer(runner)
        return
    try:
        _prepare(environment)
    except (BadKnob, BadThresholds) as error:
        sys.exit(f"loadtests: {error}")
    hooks.test_start.add_listener(lambda **_: _start(environment))
    if role == "master":
        there = workers.Workers(runner, measures)
        hooks.worker_report.add_listener(there.merge)
        hooks.test_start.add_listener(lambda **_: there.begin())
        hooks.test_stopping.add_listener(lambda **_: there.end())
    # Users run until here: nothing is counted of how they are stopped.
    hooks.test_stopping.add_listener(lambda **_: measures.end())
    if environment.web_ui is None:
        _choose_shape(environment)
    else:
        _watch_form(environment)


def finish(environment: Any) -> None:
    """Judges, sets the exit code, and writes files; call it by Locust's event `quitting`.

    The verdict is printed at Locust's last event: after all of its own tables.
    """
    if isinstance(environment.runner, WorkerRunner):
        return
    snapshot = environment.measures.snapshot()
    checks = environment.thresholds.checks(environment.measures)
    text = f"\n{table(snapshot)}\n"
    if environment.parsed_options.verdict == "printed":
        text += f"\n{outcome.closing(checks, snapshot['verdict'])}"
    environment.events.quit.add_listener(lambda **_: print(text, flush=True))
    options = vars(environment.parsed_options)
    if path := options["junit"]:
        outcome.write_junit(Path(path), checks, snapshot)
    if path := options["export"]:
        snapshot["checks"] = [vars(check) for check in checks]
        used = {name: options[name] for name in NAMES}
        # Of the users that there were: the command line may choose some.
        shares = {user.knob: used[user.knob] for user in environment.user_classes}
        Path(path).write_text(json.dumps(snapshot | {"knobs": used, "shares": shares}, indent=1))
    environment.process_exit_code = 1 if snapshot["verdict"] else 0


def _on_crash(user_instance: Any, exception: Exception, **_: Any) -> None:
    """Else a run without its users would be a good one. A crash in a task comes with its task set,
    in place of the user.
    """
    user = getattr(user_instance, "user", user_instance)
    user.fault(f"{type(exception).__name__}: {exception}")


def _tick(measures: Measures) -> None:
    while True:
        now = time.time()
        measures.tick(now)
        gevent.sleep(1 - now % 1)


def _start(environment: Any) -> None:
    """The web UI may have changed all options."""
    try:
        _prepare(environment)
    except (BadKnob, BadThresholds) as error:
        text = str(error)
        environment.measures.judge = lambda _: [text]


def _prepare(environment: Any) -> None:
    options = environment.parsed_options
    knobs.check(options)
    environment.thresholds = Thresholds.read(Path(options.thresholds))
    environment.measures.judge = environment.thresholds.faults
    # Locust may have made its dispatcher by now, which looks at these when it begins.
    for user in environment.user_classes:
        number = getattr(options, user.knob)
        user.fixed_count, user.weight = (number, 0) if user.fixed else (0, number)


def _choose_shape(environment: Any) -> None:
    """A shape that is in a locustfile is always used: this one is there where it is asked for."""
    environment.shape_class = shapes.chosen(environment.parsed_options, environment.runner)


def _watch_form(environment: Any) -> None:
    """Locust starts with any values in its form, and looks for a shape before it reads it."""
    from flask import jsonify, request

    @environment.web_ui.app.before_request
    def _() -> Any:
        if request.path.endswith("/swarm") and request.method == "POST":
            return swarm(request.form)
        return None

    @environment.web_ui.auth_required_if_enabled
    def swarm(form: Any) -> Any:
        options = environment.parsed_options
        try:
            knobs.check_form(form)
            Thresholds.read(Path(form.get("thresholds", options.thresholds)))
        except (BadKnob, BadThresholds) as error:
            # As Locust answers to values that it can't use.
            return jsonify(success=False, message=str(error), host=environment.host)
        options.shape = form.get("shape", options.shape)
        _choose_shape(environment)
        return None
