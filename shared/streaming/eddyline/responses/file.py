"""Files, sent by sendfile(2) where the server can, by large reads where not; memory is constant."""

import os
from collections.abc import Iterator, Mapping
from hashlib import sha256
from io import FileIO
from mimetypes import guess_type
from time import time

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from eddyline.connection.base import StreamClosed
from eddyline.connection.refusal import refusal
from eddyline.connection.sendfile import READ, tells_what_waits
from eddyline.errors import NotFound
from eddyline.files.digests.digests import Digests
from eddyline.files.digests.fields import digest_field
from eddyline.files.plan import Plan, depends_on_content, plan
from eddyline.files.ranges import Multipart
from eddyline.files.reading import read_cached
from eddyline.files.version import FileVersion
from eddyline.files.watch import FileChanged, FileWatch
from eddyline.responses.body import Body, send_whole
from eddyline.responses.regular import open_regular
from eddyline.responses.stream import ByteStream, transport_of
from eddyline.responses.threaded import ThreadedIterator
from eddyline.service.admission import StreamContext
from eddyline.threads import FILES

#: The end of a range is read, not sent by the kernel: a change shows before the range is whole.
TAIL = 64 * 1024


class FileResponse(Response):
    """A file, with preconditions and ranges; bytes of two versions never end as a whole body.

        return FileResponse("/srv/films/a.mp4")

    `file`: a path, which is opened in a thread when the response is sent, and answered by 404 where
    no regular file is there; or a file that is open already: a path that was checked may lead
    elsewhere by the time it is opened. The response closes it, also where it cannot be made.
    `media_type`: by default the one of the path's suffix. `context`: the limits and measures of a
    service. `digests`: those of the process, which make an ETag that is the same on each replica.

    A file that grows is sent as long as it was when its head was sent; one that is written to
    otherwise is cut short.
    """

    file: FileIO

    def __init__(
        self,
        file: FileIO | str | os.PathLike[str],
        context: StreamContext | None = None,
        *,
        media_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        digests: Digests | None = None,
    ) -> None:
        self.context: StreamContext = context or StreamContext.from_defaults("file")
        self._digests = digests
        self._to_open = None if isinstance(file, FileIO) else os.fspath(file)
        self.status_code: int = 200
        guessed = guess_type(self._to_open or "")[0] or "application/octet-stream"
        self.media_type: str = media_type or guessed
        self.background: BackgroundTask | None = None
        # No `self.body`: Starlette would take its length for the Content-Length.
        try:
            self.init_headers(headers)
            if isinstance(file, FileIO):
                self._use(file)
        except BaseException:
            if isinstance(file, FileIO):
                file.close()
            raise
        self.context.permit.hand_over()

    def _use(self, file: FileIO) -> None:
        """Takes an open file over."""
        self.file = file
        self.watch: FileWatch = FileWatch(file.fileno())
        self._lane = FILES.lane(os.fstat(file.fileno()).st_dev)
        self._waits = not tells_what_waits(file.fileno())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._to_open is not None:
            try:
                lane = FILES.lane(os.path.dirname(self._to_open))
                self._use(await lane.run(open_regular, self._to_open))
            except BaseException as error:
                self.context.permit.release()
                if not isinstance(error, NotFound):
                    raise
                return await refusal(Request(scope), error)(scope, receive, send)
        await self._respond(scope, receive, send)
        if self.background is not None:
            await self.background()

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = transport_of(scope)
        try:
            await self._find_digest(scope)
            self._make_plan(scope)
            whole = self._at_hand() if transport is not None and transport.idle else None
            if transport is None or whole is None:
                await self._stream(scope, receive, send)
            else:
                with transport.corked():
                    await send_whole(self.context, self._body(send, self._digest_of(whole)), whole)
        finally:
            # After any failure, too: another response takes the slot.
            self.context.permit.release()
            # A file system that cannot tell which calls wait may let closing wait, too.
            await self._lane.run(self.file.close) if self._waits else self.file.close()

    async def _find_digest(self, scope: Scope) -> None:
        digests, version = self._digests, self.watch.version
        if digests is not None and version not in digests:
            headers = scope["headers"]
            await digests.find(
                self.file.fileno(),
                version,
                time(),
                whole=scope["method"] == "GET" and not any(name == b"range" for name, _ in headers),
                needed=depends_on_content(headers),
            )

    def _at_hand(self) -> bytes | None:
        """The body that `plan` has, if it is small and no disk has to be waited for."""
        if not self.plan.spans:
            return b""
        # A file that has changed since is for `_stream`, which plans anew.
        return self._last_bytes(*self.plan.spans[0]) if len(self.plan.spans) == 1 else None

    def _digest_of(self, part: bytes) -> dict[str, str]:
        """For a part that is small: hashing all others would cost more than sending them."""
        if not self.plan.wants_content_digest:
            return {}
        return {"content-digest": digest_field(sha256(part).digest())}

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.stream: ByteStream = ByteStream(self.context, scope, send)
        await self.stream.run(receive, lambda: self._answer(scope, self.stream.send))

    async def _answer(self, scope: Scope, send: Send) -> None:
        if self.plan.spans:
            planned = self.watch.version
            if not self.watch.begin_at_once():
                await self._lane.run(self.watch.begin)
            # The file may have changed since it was opened.
            if self.watch.version != planned:
                self._make_plan(scope)
        if len(self.plan.spans) > 1:
            return await self._send_parts(send)
        small = await self._small()
        if small is not None:
            return await self._body(send, self._digest_of(small)).end(small)
        body = self._body(send)
        await body.begin()
        await self._send_range(body, *self.plan.spans[0], last=True)

    async def _small(self) -> bytes | None:
        """The body, where it is at hand, or is small and its client wants its digest."""
        whole = self._at_hand()
        if whole is None and self.plan.wants_content_digest:
            start, end = self.plan.spans[0]
            if len(self.plan.spans) == 1 and end - start <= TAIL:
                return await self._lane.run(b"".join, self._reads(start, end))
        return whole

    def _make_plan(self, scope: Scope) -> None:
        version = self.watch.version
        self.version: FileVersion = self._digests.known(version) if self._digests else version
        self.plan: Plan = plan(scope["method"], scope["headers"], self.version, time())
        self.status_code = self.plan.status

    async def _send_parts(self, send: Send) -> None:
        parts = Multipart(self.plan.spans, self.watch.version.size, self.headers["content-type"])
        body = self._body(send, parts.headers)
        for start, end in self.plan.spans:
            await body.write(parts.head((start, end)))
            await self._send_range(body, start, end)
            await body.write(parts.AFTER_PART)
        await body.end(parts.end)

    def _body(self, send: Send, framing: Mapping[str, str] | None = None) -> Body:
        """The body that follows the head of `plan`."""
        planned = [
            (name.encode(), value.encode("latin-1"))
            for name, value in {**self.plan.headers, **(framing or {})}.items()
        ]
        names = {name for name, _ in planned}
        # An answer without the file describes none of it (RFC 9110 §15.4.5).
        empty = self.plan.status in (304, 412, 416)
        kept = [
            (name, value)
            for name, value in self.raw_headers
            if name not in names and not (empty and _describes_content(name))
        ]
        return Body(send, self.plan.status, kept + planned)

    async def _send_range(self, body: Body, start: int, end: int, *, last: bool = False) -> None:
        if self.stream.transport is not None and not self._waits:
            zero_copy_end = max(start, end - TAIL)
            await self._send_by_kernel(start, zero_copy_end)
            start = zero_copy_end
        send = body.end if last else body.write
        at_once = self._last_bytes(start, end)
        if at_once is not None:
            return await send(at_once)
        reads = ThreadedIterator(self._reads(start, end), self._lane)
        try:
            async for chunk in reads:
                start += len(chunk)
                await (send if start == end else body.write)(chunk)
        finally:
            await reads.aclose()

    def _last_bytes(self, start: int, end: int) -> bytes | None:
        """The end of a range that has not changed, if no disk has to be waited for."""
        if end - start > TAIL:
            return None
        data = read_cached(self.file.fileno(), end - start, start)
        return data if self.watch.is_unchanged else None

    async def _send_by_kernel(self, start: int, end: int) -> None:
        file = self.file.fileno()
        try:
            await self.stream.send_file(file, start, end - start, self.watch.glance)
        except StreamClosed:
            # A file that ends early is the reason as often as a client that left.
            self.watch.glance()
            raise

    def _reads(self, start: int, end: int) -> Iterator[bytes]:
        while start < end:
            chunk = os.pread(self.file.fileno(), min(READ, end - start), start)
            self.watch.check(self.version.sha256 if start + len(chunk) == end else None)
            if not chunk:
                raise FileChanged(f"the file ends at byte {start}, {end} were promised")
            yield chunk
            start += len(chunk)


def _describes_content(name: bytes) -> bool:
    return name.startswith(b"content-") and name != b"content-location"
