"""Ramp, hold, churn, spike, drain: how many users there are when, where `--shape stages` asks.

No `LoadTestShape`, though Locust uses it as one: importing Locust replaces a process's sockets.
"""

import time
from collections.abc import Mapping
from typing import Any

#: Seconds between two changes of the stage `churn`.
CHANGE = 5.0

#: Users a second where there should be many at once: all within this many seconds.
AT_ONCE = 4.0


class Stages:
    """`users` at most, but for the spike; a stage of no seconds is left out."""

    # The form keeps its field for the number of users.
    use_common_options = True

    def __init__(self, users: int, knobs: Mapping[str, Any], runner: Any = None) -> None:
        self.users = users
        self.runner = runner
        self.reset_time()
        self._seconds = {
            name: float(knobs[name]) for name in ("ramp", "hold", "churn", "spike", "drain")
        }
        self._churn_part = float(knobs["churn_part"])
        self._spike_factor = float(knobs["spike_factor"])

    def tick(self) -> tuple[int, float] | None:
        return self.at(time.monotonic() - self._began)

    def reset_time(self) -> None:
        self._began = time.monotonic()

    def at(self, elapsed: float) -> tuple[int, float] | None:
        """How many, and how many more or fewer a second; None: it is over."""
        for stage, seconds in self._seconds.items():
            if elapsed < seconds:
                return self._of(stage, elapsed, seconds)
            elapsed -= seconds
        return None

    def _of(self, stage: str, elapsed: float, seconds: float) -> tuple[int, float]:
        users = self.users
        match stage:
            case "ramp":
                return users, max(1.0, users / seconds)
            case "churn":
                part = int(users * self._churn_part)
                gone = part if elapsed % (2 * CHANGE) < CHANGE else 0
                return users - gone, max(1.0, part / AT_ONCE)
            case "spike":
                most = int(users * self._spike_factor)
                return most, max(1.0, (most - users) / AT_ONCE)
            case "drain":
                return 0, max(1.0, users * self._spike_factor / seconds)
        return users, max(1.0, users / AT_ONCE)


def chosen(options: Any, runner: Any) -> Stages | None:
    """The shape that the options of a run ask for."""
    if options.shape == "off":
        return None
    return Stages(options.num_users or 1, vars(options), runner)
