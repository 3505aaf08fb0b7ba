"""Topic matchers: the bounds of each kind."""

import pytest

from eddyline.errors import BadRequest
from eddyline_events.mercure.topics.matcher import Matcher

BASE = "https://hub.example/.well-known/mercure"


@pytest.mark.parametrize(
    ("kind", "text", "complaint"),
    [
        ("exact", "a\u202eb", "control or format"),
        ("exact", "x" * 4097, "4097 bytes"),
        ("selector", "é" * 2049, "4098 bytes"),
        ("urlpattern", "/" + "x" * 2048, "too long"),
        ("urlpattern", "/(" + r"\d" * 20 + ")", "too long"),
        ("urlpattern", "/(a{3})", "counts repetitions"),
        ("urlpattern", "/:", "URL pattern '/:'"),
    ],
)
def test_a_bad_matcher_is_refused_by_name(kind: str, text: str, complaint: str) -> None:
    with pytest.raises(BadRequest, match=complaint):
        Matcher.parse(kind, text, BASE)
