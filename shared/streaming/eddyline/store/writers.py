"""The writers of one stream: which write is new, which was done before, and which is refused.

Stores in Python share it; a store whose writes are scripts does the same there.
"""

from dataclasses import dataclass, field

from eddyline.errors import BadRequest
from eddyline.store.base import (
    Batch,
    ContentTypeMismatch,
    OutOfOrder,
    ProducerGap,
    ProducerStamp,
    StaleProducer,
    StaleWriter,
    StreamEnded,
    StreamInfo,
)


@dataclass(slots=True)
class Writers:
    """The state that a stream keeps of its writers.

    `producers`: the newest stamp of each. `order`: the greatest one so far. `ender`: the stamp of
    the write that has ended the stream.
    """

    producers: dict[str, ProducerStamp] = field(default_factory=dict)
    order: bytes | None = None
    ender: ProducerStamp | None = None

    def accepted(self, batch: Batch) -> int | None:
        """The newest number of the batch's producer."""
        stamp = batch.producer and self.producers.get(batch.producer.id)
        return stamp.number if stamp else None

    def is_repeated(self, name: str, info: StreamInfo, batch: Batch) -> bool:
        """Whether an earlier write had done the work already. Raises as `StreamStore.append`.

        `name` is the stream's, for texts.
        """
        if info.end is not None:
            if batch.producer is not None and batch.producer == self.ender:
                return True
            raise StreamEnded(f"the stream {name} has ended: {info.end}", info.head)
        self._check_type(name, info, batch.content_type)
        if batch.producer is not None and self._is_known(name, info, batch.producer):
            return True
        if batch.order is not None and self.order is not None and batch.order <= self.order:
            text = f"{batch.order!r} does not follow {self.order!r}, byte by byte"
            raise OutOfOrder(f"the stream {name} is written in order: {text}", info.head)
        if batch.after not in (None, info.head):
            text = f"the stream {name} is at {info.head}, not {batch.after}"
            raise StaleWriter(text, info.head)
        return False

    def note(self, batch: Batch) -> None:
        """Remembers a batch that is written."""
        if batch.producer is not None:
            self.producers[batch.producer.id] = batch.producer
        if batch.order is not None:
            self.order = batch.order
        if batch.end is not None:
            self.ender = batch.producer

    def _check_type(self, name: str, info: StreamInfo, content_type: str | None) -> None:
        own = info.config.content_type
        if content_type is not None and media_type(content_type) != media_type(own):
            text = f"the stream {name} is of {own!r}, not {content_type[:80]!r}"
            raise ContentTypeMismatch(text, info.head)

    def _is_known(self, name: str, info: StreamInfo, stamp: ProducerStamp) -> bool:
        known = self.producers.get(stamp.id)
        producer = f"the producer {stamp.id[:80]!r} of the stream {name}"
        if known is not None and stamp.epoch < known.epoch:
            text = f"{producer} has started anew: {known.epoch} is its epoch, not {stamp.epoch}"
            raise StaleProducer(text, known.epoch)
        if known is not None and stamp.epoch == known.epoch:
            if stamp.number <= known.number:
                return True
            expected = known.number + 1
        else:
            expected = 0
            if known is not None and stamp.number:
                raise BadRequest(f"{producer} begins its epoch with 0, not {stamp.number}")
        if stamp.number != expected:
            text = f"{producer} has to send {expected} next, not {stamp.number}"
            raise ProducerGap(text, info.head, expected)
        return False


def media_type(content_type: str) -> str:
    """The part of a content type that two writers must share (RFC 9110, section 8.3.1)."""
    return content_type.partition(";")[0].strip().lower()
