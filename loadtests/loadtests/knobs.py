"""Every parameter of a run, as an argument of Locust's: on the command line, as LOADTEST_… in the
environment, and in the web UI, from where the workers get it.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Knob:
    name: str
    default: Any
    help: str
    choices: tuple[str, ...] | None = None
    #: Of the process that is started, not of a run.
    hidden: bool = False
    #: The least and the most of a number.
    least: float = 0
    most: float = sys.float_info.max

    @property
    def option(self) -> str:
        return self.name.replace("-", "_")


class BadKnob(Exception):
    """A value that can't be used; the text names it."""


THRESHOLDS = Path(__file__).with_name("thresholds.toml")

KNOBS = (
    # How many there are of each kind of user: shares of all users, but for publishers.
    Knob("publishers", 2, "publishers, a number; all others are shares of the users"),
    Knob("subscribers", 40, "share of event subscribers that stay"),
    Knob("resumers", 4, "share of event subscribers that drop their stream, and resume it"),
    Knob("churners", 4, "share of event subscribers that go, and come anew"),
    Knob("slow-readers", 2, "share of event subscribers that let their events pile up"),
    Knob("log-followers", 6, "share of log followers, which drop and resume too"),
    Knob("chat-readers", 2, "share of chat readers"),
    Knob("record-readers", 1, "share of records readers"),
    Knob("downloaders", 1, "share of downloaders"),
    # Their behaviour.
    Knob("publish-rate", 3.0, "events a second of each publisher", least=0.001),
    Knob(
        "topics",
        4,
        "topics that publishers publish to in turn; a subscriber reads one of them",
        least=1,
    ),
    Knob("all-topics", 0.05, "part of the subscribers that read all topics, 0 to 1", most=1),
    Knob("padding", 0, "bytes that are added to each event"),
    Knob(
        "stay",
        15.0,
        "seconds that churners, resumers and log followers stay, on average",
        least=0.1,
    ),
    Knob("pause", 10.0, "seconds for which slow readers read nothing"),
    Knob("think", 3.0, "seconds between two requests of chat, records and downloads, on average"),
    Knob("log", "app.log", "log to follow; of lines with `load=1`, `load=2`, none may be missing"),
    Knob("message", "Hello", "text that chat is asked"),
    Knob("dataset", "users", "dataset to read, with consecutive keys in its column `id`"),
    Knob("rows", 10_000, "rows of one request", least=1),
    Knob("last-row", 999_999, "the last key of the dataset", least=1),
    Knob("file", "users.csv", "file to download, whole and in two parts"),
    Knob("range-file", "huge.bin", "file to download ranges of"),
    Knob("range-bytes", 1_048_576, "bytes of a range", least=1),
    # The limits.
    Knob("stall", 2.0, "seconds of silence that are a stall where something is due", least=0.1),
    Knob(
        "heartbeat",
        15.0,
        "seconds between two heartbeats: twice that is a stall anywhere",
        least=0.1,
    ),
    Knob("thresholds", str(THRESHOLDS), "file of the most that a run may have"),
    # Shapes.
    Knob("shape", "off", "stages: the numbers of users and seconds are below", ("off", "stages")),
    Knob("ramp", 20.0, "stage 1: seconds in which the users come"),
    Knob("hold", 40.0, "stage 2: seconds for which they stay"),
    Knob("churn", 20.0, "stage 3: seconds in which a part of them goes and comes, again and again"),
    Knob("churn-part", 0.2, "the part, 0 to 1", most=1),
    Knob("spike", 20.0, "stage 4: seconds for which there are more of them, at once"),
    Knob("spike-factor", 1.5, "how many times the users", least=1),
    Knob("drain", 20.0, "stage 5: seconds in which they go"),
    Knob("export", "", "file to write all figures to, as JSON", hidden=True),
    Knob("junit", "", "file to write a test case for each bound to, as JUnit's XML", hidden=True),
    Knob(
        "verdict",
        "printed",
        "left: the export has it, and the caller prints it",
        ("printed", "left"),
        hidden=True,
    ),
)

#: Of Locust's options.
NAMES = tuple(knob.option for knob in KNOBS)


def add_arguments(parser: Any) -> None:
    for knob in KNOBS:
        parser.add_argument(
            f"--{knob.name}",
            type=type(knob.default),
            default=knob.default,
            choices=knob.choices,
            help=f"{knob.help} (default: {knob.default})" if knob.default != "" else knob.help,
            env_var=f"LOADTEST_{knob.option.upper()}",
            include_in_web_ui=not knob.hidden,
        )


def check(options: Any) -> None:
    """Raises BadKnob."""
    for knob in KNOBS:
        _check(knob, getattr(options, knob.option))


def check_form(form: Mapping[str, str]) -> None:
    """Of the web UI, which has all as text; raises BadKnob. Locust itself takes any value."""
    for knob in KNOBS:
        if knob.option not in form:
            continue
        text = form[knob.option]
        try:
            value = type(knob.default)(text)
        except ValueError:
            expected = "a whole number" if isinstance(knob.default, int) else "a number"
            raise BadKnob(f"{knob.name} is {text!r}, expected {expected}") from None
        _check(knob, value)


def _check(knob: Knob, value: Any) -> None:
    if knob.choices and value not in knob.choices:
        raise BadKnob(f"{knob.name} is {value!r}, expected {' or '.join(knob.choices)}")
    # Nothing is more or less than `nan`.
    if not isinstance(value, str) and not knob.least <= value <= knob.most:
        most = f"{knob.least:g} to {knob.most:g}"
        expected = most if knob.most < sys.float_info.max else f"{knob.least:g} or more"
        raise BadKnob(f"{knob.name} is {value}, expected {expected}")
