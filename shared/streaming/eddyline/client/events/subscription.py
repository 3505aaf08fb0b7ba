"""A subscription: messages of some topics, and resets."""

from collections.abc import Sequence
from pathlib import Path

from eddyline.client.api import Api
from eddyline.client.events.messages import Message, Reset, loads, message_of, reset_of
from eddyline.client.followed import Followed
from eddyline.wire.sse import Event

RESET = "eddyline.reset"


def subscription(
    api: Api, topics: Sequence[str], after: str | None, state_file: Path | None
) -> Followed[Message | Reset]:
    """Messages as they come; a gap that can't be filled is a Reset."""
    query = [*(("topic", topic) for topic in topics), ("envelope", "1")]
    named = sorted(("topic", topic) for topic in set(topics))
    return Followed(
        lambda last_event_id: api.source("events", query, last_event_id),
        _item,
        stream=str(api.at("events", named)),
        after=after,
        state_file=state_file,
    )


def _item(event: Event) -> Message | Reset:
    fields = loads(event.data)
    return reset_of(fields) if event.event == RESET else message_of(fields)
