"""Which topics lost entries that a journal no longer retains: a reader of others missed nothing."""

import itertools
import sys

#: Topics that a page names. Where more have lost something, it is told to all.
TOLD = 1000

#: Bytes that a topic takes beside its text.
OVERHEAD = 150


class LostTopics:
    """The newest entry of each topic that is not retained, within `max_bytes`: of losses that were
    longest ago nobody knows the topics.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        #: Sequences by topic, in their order.
        self._newest: dict[str, int] = {}
        #: The newest loss whose topic is not known.
        self._floor = 0

    def add(self, topic: str, sequence: int) -> None:
        if self._newest.pop(topic, None) is None:
            self._bytes += _size(topic)
        self._newest[topic] = sequence
        while self._bytes > self._max_bytes:
            oldest = next(iter(self._newest))
            self._floor = self._newest.pop(oldest)
            self._bytes -= _size(oldest)

    def after(self, sequence: int) -> tuple[str, ...] | None:
        """The topics that lost entries after one; None where that is not known."""
        if sequence < self._floor:
            return None
        newer = itertools.takewhile(lambda lost: lost[1] > sequence, reversed(self._newest.items()))
        topics = tuple(topic for topic, _ in itertools.islice(newer, TOLD + 1))
        return topics if len(topics) <= TOLD else None


def _size(topic: str) -> int:
    return sys.getsizeof(topic) + OVERHEAD
