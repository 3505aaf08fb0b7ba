"""Every knob says what it is for; values that can't be used are named."""

from types import SimpleNamespace

import pytest

from loadtests.knobs import KNOBS, BadKnob, check

DEFAULTS = {knob.option: knob.default for knob in KNOBS}


def test_the_defaults_are_good() -> None:
    check(SimpleNamespace(**DEFAULTS))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("publish_rate", 0.0, r"publish-rate is 0.0, expected 0.001 or more"),
        ("topics", 0, "topics is 0, expected 1 or more"),
        ("churners", -1, "churners is -1, expected 0 or more"),
    ],
)
def test_a_bad_value_is_named(name: str, value: float, message: str) -> None:
    with pytest.raises(BadKnob, match=message):
        check(SimpleNamespace(**DEFAULTS | {name: value}))


def test_every_knob_has_a_help_of_its_own() -> None:
    assert len({knob.help for knob in KNOBS}) == len(KNOBS)
