"""Every knob has a description; values that can't be used are named."""

from math import inf, nan
from types import SimpleNamespace

import pytest

from loadtests.knobs import KNOBS, BadKnob, check, check_form

DEFAULTS = {knob.option: knob.default for knob in KNOBS}


def test_the_defaults_are_good() -> None:
    check(SimpleNamespace(**DEFAULTS))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("publish_rate", 0.0, r"publish-rate is 0.0, expected 0.001 or more"),
        ("topics", 0, "topics is 0, expected 1 or more"),
        ("churners", -1, "churners is -1, expected 0 or more"),
        ("all_topics", 7, "all-topics is 7, expected 0 to 1"),
        ("churn_part", 2, "churn-part is 2, expected 0 to 1"),
        ("stall", nan, "stall is nan, expected 0.1 or more"),
        ("think", inf, "think is inf, expected 0 or more"),
    ],
)
def test_a_bad_value_is_named(name: str, value: float, message: str) -> None:
    with pytest.raises(BadKnob, match=message):
        check(SimpleNamespace(**DEFAULTS | {name: value}))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("all_topics", "7", "all-topics is 7.0, expected 0 to 1"),
        ("pause", "inf", "pause is inf, expected 0 or more"),
        ("topics", "nan", "topics is 'nan', expected a whole number"),
        ("stall", "two", "stall is 'two', expected a number"),
        ("shape", "round", "shape is 'round', expected off or stages"),
    ],
)
def test_a_bad_value_in_the_form_is_named(name: str, text: str, message: str) -> None:
    check_form({knob.option: str(knob.default) for knob in KNOBS} | {"user_count": "many"})
    with pytest.raises(BadKnob) as refused:
        check_form({name: text})
    assert str(refused.value) == message


def test_every_knob_has_a_help_of_its_own() -> None:
    assert len({knob.help for knob in KNOBS}) == len(KNOBS)
