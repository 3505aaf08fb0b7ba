"""Ramp, hold, churn, spike, drain: how many users there are when, where `--shape stages` asks.

No `LoadTestShape`, though Locust uses it as one: importing Locust replaces a process's sockets.
"""

import time
from typing import Any

#: Seconds between two changes of the stage `churn`.
CHANGE = 5.0

#: Users a second where there should be many at once: all within this many seconds.
AT_ONCE = 4.0


class Stages:
    """The users of the options at most, but for the spike; a stage of no seconds is left out."""

    # The form keeps its field for the number of users.
    use_common_options = True

    def __init__(self, options: Any, runner: Any = None) -> None:
        self.runner = runner
        # Read when they are needed: the web UI sets them after it has chosen the shape.
        self._options = options
        self.reset_time()

    def reset_time(self) -> None:
        self._began = time.monotonic()

    def tick(self) -> tuple[int, float] | None:
        return self.at(time.monotonic() - self._began)

    def at(self, elapsed: float) -> tuple[int, float] | None:
        """How many, and how many more or fewer a second; None: it is over."""
        for stage in ("ramp", "hold", "churn", "spike", "drain"):
            seconds = getattr(self._options, stage)
            if elapsed < seconds:
                return self._of(stage, elapsed, seconds)
            elapsed -= seconds
        return None

    def _of(self, stage: str, elapsed: float, seconds: float) -> tuple[int, float]:
        users = self._options.num_users or 1
        most = int(users * self._options.spike_factor)
        match stage:
            case "ramp":
                return users, max(1.0, users / seconds)
            case "churn":
                part = int(users * self._options.churn_part)
                gone = part if elapsed % (2 * CHANGE) < CHANGE else 0
                return users - gone, max(1.0, part / AT_ONCE)
            case "spike":
                return most, max(1.0, (most - users) / AT_ONCE)
            case "drain":
                return 0, max(1.0, most / seconds)
        return users, max(1.0, users / AT_ONCE)


def chosen(options: Any, runner: Any) -> Stages | None:
    """The shape that the options of a run ask for."""
    return None if options.shape == "off" else Stages(options, runner)
