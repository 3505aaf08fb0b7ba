"""A stream that a PUT asks for: a new one, or a fork of another (sections 4.2 and 5.1)."""

from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request

from eddyline.durable.offset import from_cursor, to_cursor
from eddyline.durable.payload import JSON, payload_of
from eddyline.durable.writing import form
from eddyline.durable.writing.form import Lifetime
from eddyline.errors import BadRequest, Conflict, NotFound
from eddyline.journal.cursor import Cursor
from eddyline.store.base import (
    Fork,
    Record,
    StreamConfig,
    StreamDeleted,
    StreamInfo,
    StreamStore,
)
from eddyline.store.writers import media_type

DEFAULT_TYPE = "application/octet-stream"

#: Bytes of a page that is read to count messages.
PAGE_BYTES = 1024 * 1024


@dataclass(slots=True)
class Creation:
    """The stream as the request wants it.

    `inherited`: the part of a source's record that becomes a record of the fork's own.
    """

    content_type: str
    lifetime: Lifetime
    fork: Fork | None = None
    #: Whether the request names the place of the fork, or means the head of its source.
    placed: bool = False
    inherited: list[bytes] = field(default_factory=list)

    @classmethod
    async def prepare(
        cls, store: StreamStore, key_of: Callable[[str], str | None], request: Request
    ) -> "Creation":
        lifetime = Lifetime.parse(request)
        content_type = form.content_type(request)
        path = request.headers.get("stream-forked-from")
        offset = request.headers.get("stream-fork-offset")
        part = form.number(request, "stream-fork-sub-offset")
        if path is None:
            if offset is not None or part is not None:
                raise BadRequest("a fork's offset without Stream-Forked-From: expected both")
            return cls(content_type or DEFAULT_TYPE, lifetime)
        if part and offset is None:
            raise BadRequest(f"Stream-Fork-Sub-Offset: {part}: expected a Stream-Fork-Offset, too")
        key = key_of(path)
        if key is None:
            raise NotFound(f"Stream-Forked-From: {path[:80]!r} is no stream of this server")
        source = await _source(store, key)
        if content_type is not None and media_type(content_type) != media_type(
            source.config.content_type
        ):
            text = f"the source is of {source.config.content_type!r}, not {content_type[:80]!r}"
            raise Conflict(text)
        position = _Position(store, key, source)
        await position.find(offset, part or 0)
        return cls(
            source.config.content_type,
            _inherit(lifetime, source),
            Fork(key, position.at, len(position.inherited)),
            offset is not None,
            [position.inherited] if position.inherited else [],
        )

    def config(self, max_bytes: int | None) -> StreamConfig:
        life = self.lifetime
        return StreamConfig(self.content_type, life.ttl, max_bytes, expires_at=life.expires_at)

    def made(self, info: StreamInfo) -> bool:
        """Whether the stream that is there could be the work of this request."""
        config = info.config
        if media_type(config.content_type) != media_type(self.content_type):
            return False
        if (config.ttl, config.expires_at) != (self.lifetime.ttl, self.lifetime.expires_at):
            return False
        if self.fork is None or info.fork is None:
            return self.fork is info.fork
        if self.fork.source != info.fork.source:
            return False
        here = (self.fork.at, self.fork.part) == (info.fork.at, info.fork.part)
        return here or not self.placed


def _inherit(lifetime: Lifetime, source: StreamInfo) -> Lifetime:
    if lifetime.ttl is not None or lifetime.expires_at is not None:
        return lifetime
    return Lifetime(source.config.ttl, source.config.expires_at)


async def _source(store: StreamStore, key: str) -> StreamInfo:
    try:
        return (await store.read(key, None, 0)).info
    except StreamDeleted as error:
        raise Conflict(error.detail) from error


class _Position:
    """The place at which a source is forked."""

    def __init__(self, store: StreamStore, key: str, source: StreamInfo) -> None:
        self._store = store
        self._key = key
        self._source = source
        self.at: Cursor = source.head
        self.inherited: bytes = b""

    async def find(self, offset: str | None, part: int) -> None:
        """`part` counts messages of a JSON stream, and bytes of another's next record."""
        if offset is None:
            return
        self.at = to_cursor(offset) or self._source.oldest
        if not part:
            return
        if payload_of(self._source.config.content_type) is JSON:
            await self._skip_messages(part)
            return
        records = await self._read(1)
        if not records or part > len(records[0].data):
            raise self._beyond(part)
        self.inherited = records[0].data[:part]

    async def _skip_messages(self, count: int) -> None:
        start = count
        while count:
            records = (await self._read(PAGE_BYTES))[:count]
            if not records:
                raise self._beyond(start)
            self.at = records[-1].cursor
            count -= len(records)

    async def _read(self, limit: int) -> list[Record]:
        chunk = await self._store.read(self._key, self.at, limit)
        if chunk.gap is not None:
            raise BadRequest(f"Stream-Fork-Offset: {from_cursor(self.at)} is none of the source's")
        return chunk.records

    def _beyond(self, part: int) -> BadRequest:
        return BadRequest(f"Stream-Fork-Sub-Offset: {part}: the source has not so much there")
