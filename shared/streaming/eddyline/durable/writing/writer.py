"""The answers to PUT, POST and DELETE of a durable stream (sections 5.1 to 5.4)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from eddyline.durable.headers import NO_STORE, SECURITY, refusal
from eddyline.durable.offset import from_cursor
from eddyline.durable.payload import payload_of
from eddyline.durable.writing import form
from eddyline.durable.writing.creation import Creation
from eddyline.errors import BadRequest, Conflict
from eddyline.journal.cursor import Cursor
from eddyline.service.body import at_most, read_body
from eddyline.store.base import (
    Batch,
    ProducerGap,
    ProducerStamp,
    StaleProducer,
    StreamEnded,
    StreamInfo,
    StreamStore,
    WriteConflict,
    Written,
)

#: The reason with which streams of this protocol end.
CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class WritePolicy:
    """The limits of writers. Sizes are in bytes: of one write, and of one stream (None: no bound).

    `key_of` makes the key of a stream from the path of its URL; None for a path of no stream.
    `wrote` is called after each write that has changed a stream, with its key and the number of
    records that are new.
    """

    key_of: Callable[[str], str | None]
    write_bytes: int = 16 * 1024 * 1024
    stream_bytes: int | None = None
    wrote: Callable[[str, StreamInfo, int], Awaitable[None]] | None = None


class Writer:
    """Answers writers of the streams of one store."""

    def __init__(self, store: StreamStore, policy: WritePolicy) -> None:
        self._store = store
        self._policy = policy

    async def create(self, request: Request, key: str) -> Response:
        """PUT: makes a stream, or finds it as the request would have made it.

        Raises BadRequest, Conflict, NotFound for a source, TooLarge, Overloaded and Unavailable.
        """
        creation = await Creation.prepare(self._store, self._policy.key_of, request)
        body = await self._body(request)
        records = [*creation.inherited, *payload_of(creation.content_type).split(body)]
        end = CLOSED if form.is_closed(request) else None
        config = creation.config(self._policy.stream_bytes)
        written = await self._store.create(key, config, Batch(records, end), creation.fork)
        found = written.info
        if written.new:
            await self._tell(key, found, len(records))
            return _created(201, found, {"Location": _address(request)})
        if (found.end is None) != (end is None) or not creation.made(found):
            raise Conflict("there is a stream already, and it is another than the request's")
        return _created(200, found, {})

    async def append(self, request: Request, key: str) -> Response:
        """POST: appends, or closes, or both."""
        batch = await self._batch(request)
        try:
            written = await self._store.append(key, batch)
        except StreamEnded as error:
            if batch.records or batch.producer is not None:
                return _refused(request, error, batch.producer)
            return Response(status_code=204, headers=_state(error.head, closed=True))
        except (WriteConflict, StaleProducer) as error:
            return _refused(request, error, batch.producer)
        if written.new:
            await self._tell(key, written.info, len(batch.records))
        return _appended(batch, written)

    async def delete(self, key: str) -> Response:
        """DELETE. Raises NotFound, and StreamDeleted where only forks live."""
        await self._store.delete(key)
        return Response(status_code=204, headers=SECURITY)

    async def _batch(self, request: Request) -> Batch:
        closed, producer = form.is_closed(request), form.producer(request)
        order = form.short_text(request, "stream-seq")
        content_type = form.content_type(request)
        body = await self._body(request)
        if not body:
            if not closed:
                raise BadRequest("the body is empty: expected data, or Stream-Closed: true")
            return Batch((), CLOSED, producer=producer)
        if content_type is None:
            raise BadRequest("Content-Type is missing: expected that of the stream")
        records = payload_of(content_type).split(body)
        if not records:
            raise BadRequest("the body is an empty array: expected a message or more")
        return Batch(
            records,
            CLOSED if closed else None,
            content_type=content_type,
            producer=producer,
            order=None if order is None else order.encode("latin-1"),
        )

    async def _body(self, request: Request) -> bytes:
        most = self._policy.write_bytes
        return await read_body(request, at_most(most, f"one write has at most {most} bytes"))

    async def _tell(self, key: str, info: StreamInfo, records: int) -> None:
        if self._policy.wrote is not None:
            await self._policy.wrote(key, info, records)


def _state(head: Cursor, *, closed: bool) -> dict[str, str]:
    headers = {**SECURITY, "Cache-Control": NO_STORE, "Stream-Next-Offset": from_cursor(head)}
    return headers | ({"Stream-Closed": "true"} if closed else {})


def _created(status: int, info: StreamInfo, headers: dict[str, str]) -> Response:
    headers = _state(info.head, closed=info.end is not None) | headers
    return Response(None, status, headers | {"Content-Type": info.config.content_type})


def _appended(batch: Batch, written: Written) -> Response:
    headers = _state(written.info.head, closed=written.info.end is not None)
    status = 204
    if batch.producer is not None:
        headers["Producer-Epoch"] = str(batch.producer.epoch)
        headers["Producer-Seq"] = str(written.accepted)
        if written.new and batch.records:
            status = 200
    return Response(status_code=status, headers=headers)


def _refused(
    request: Request, error: WriteConflict | StaleProducer, producer: ProducerStamp | None
) -> Response:
    if isinstance(error, StaleProducer):
        return refusal(request, error, {"Producer-Epoch": str(error.epoch)})
    headers = _state(error.head, closed=isinstance(error, StreamEnded))
    if isinstance(error, ProducerGap) and producer is not None:
        headers["Producer-Expected-Seq"] = str(error.expected)
        headers["Producer-Received-Seq"] = str(producer.number)
    return refusal(request, error, headers)


def _address(request: Request) -> str:
    """The request's URL without its query. The server has decoded its path."""
    path = quote(request.url.path, safe="/!$&'()*+,;=:@")
    return str(request.url.replace(path=path, query="", fragment=""))
