"""The stages come one after the other, with the users that they are for."""

from types import SimpleNamespace

from loadtests.knobs import KNOBS
from loadtests.shapes import Stages

DEFAULTS = {knob.option: knob.default for knob in KNOBS}


def stages(**knobs: float) -> Stages:
    return Stages(SimpleNamespace(**DEFAULTS | knobs, num_users=100))


def users(shape: Stages, elapsed: float) -> int | None:
    found = shape.at(elapsed)
    return None if found is None else found[0]


def test_ramp_hold_churn_spike_drain() -> None:
    shape = stages(ramp=10, hold=10, churn=20, churn_part=0.3, spike=10, spike_factor=2, drain=5)
    assert shape.at(1) == (100, 10)
    assert users(shape, 15) == 100
    assert [users(shape, t) for t in (21, 26, 31, 36)] == [70, 100, 70, 100]
    assert shape.at(45) == (200, 25)
    assert shape.at(51) == (0, 40)
    assert shape.at(55) is None


def test_a_stage_of_no_seconds_is_left_out() -> None:
    shape = stages(ramp=0, hold=10, churn=0, spike=0, drain=0)
    assert users(shape, 0) == 100
    assert users(shape, 10) is None
