"""Events cut out of a stream: as the WHATWG's parser has them, however the bytes are cut."""

import random

import pytest

from eddyline.errors import UpstreamError
from eddyline.wire import sse
from eddyline_chat.openai import events
from eddyline_chat.openai.events import Events

STREAMS = [
    b'data: {"a": 1}\n\ndata: {"b": 2}\n\ndata: [DONE]\n\n',
    b"data:x\n\ndata:  y \n\ndata:\n\ndata\n\n",
    b": ping\n\ndata: a\n\n: ping\ndata: b\n\n\n\ndata: c\n\n",
    b"event: error\ndata: a\n\ndata: b\ndata: c\n\nid: 1\n\ndata: d\n\n",
    b"data: a\r\n\r\ndata: b\r\rdata: c\n\ndata: d\n\n",
    b"data: a\n\ndata: b\n\r\ndata: c\n\ndata: d\n",
    b"\xef\xbb\xbfdata: a\n\ndata: b\n\n",
    "data: naïve 🜁\u2028\n\ndata: \x85\n\n".encode(),
    b"data: bad \xff utf-8\n\n",
    b"nonsense\n\nfoo: bar\ndata: a\n\n",
]


def spelt(stream: bytes) -> list[tuple[str, str]]:
    """As an EventSource would have them, but for spaces around the data."""
    return [(event.event, event.data.strip()) for event in sse.Parser().feed(stream)]


@pytest.mark.parametrize("stream", STREAMS)
def test_events_are_those_of_the_whatwgs_parser(stream: bytes) -> None:
    for seed in range(50):
        cutter, left, found = random.Random(seed), stream, list[tuple[str, bytes]]()
        reader = Events()
        while left:
            size = cutter.randint(1, len(left))
            found += reader.feed(left[:size])
            left = left[size:]
        texts = [(name, data.decode("utf-8", "replace").strip()) for name, data in found]
        assert texts == spelt(stream)


def test_nothing_counts_after_an_error_field() -> None:
    reader = Events()
    found = reader.feed(b"data: a\n\nerror: bad\n\ndata: b\n\n")
    assert (found, reader.error) == ([("message", b"a")], "bad")


def test_bytes_without_an_event_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_EVENT_LIMIT", 10)
    reader = Events()
    reader.feed(b"data: 12")
    with pytest.raises(UpstreamError, match="16 bytes without an event"):
        reader.feed(b"data: 12")
