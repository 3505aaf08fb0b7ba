"""The answer with rows: its head, whose last line is known with the first page; and its body."""

from collections.abc import Iterator, Mapping

from fastapi import Request, Response

from eddyline.responses.pull import PullResponse
from eddyline.service.admission import StreamContext
from eddyline.threads import Lane
from eddyline.wire.sse import STREAM_HEADERS
from eddyline_records.bodies.base import RowsBody
from eddyline_records.bodies.compressed import compressed
from eddyline_records.bodies.framed import FramedBody
from eddyline_records.bodies.plain import PlainBody
from eddyline_records.cursor import Cursors, Place, Question
from eddyline_records.formats.json import framed_lines
from eddyline_records.http.asking import Representation
from eddyline_records.sources.base import BadValue, Key, Scan, Schema, Selection, Source, Summary


class RowsResponse(PullResponse):
    """The rows of a scan. A fault of the first page is an error status."""

    def __init__(
        self,
        request: Request,
        context: StreamContext,
        lane: Lane,
        scan: Scan,
        question: Question,
        form: Representation,
        lines: Mapping[str, str],
        cursors: Cursors,
    ) -> None:
        self._scan = scan
        self._question = question
        self._form = form
        self._cursors = cursors
        self._url = request.url
        body, told = self._body()
        super().__init__(
            lambda: self._pages(body),
            context,
            media_type=form.media_type,
            headers={**told, **lines},
            interrupt=scan.interrupt,
            lane=lane,
            head_at_once=False,
        )

    def _body(self) -> tuple[RowsBody, dict[str, str]]:
        columns = self._question.columns
        if self._form.framed:
            encode = framed_lines(columns, self._form.options)
            return FramedBody(self._scan, encode, self._cursor), {}
        body = self._form.format.body(columns, self._form.options)
        plain = PlainBody(self._scan, body, self._cursor)
        return plain, plain.headers

    def _pages(self, body: RowsBody) -> Iterator[bytes]:
        pages = self._linked(body.pages())
        return compressed(pages, self._form.coding) if self._form.coding else pages

    def _linked(self, pages: Iterator[bytes]) -> Iterator[bytes]:
        """The head goes out with the first page, and so may still be told where the rest is."""
        for number, page in enumerate(pages):
            if number == 0:
                self._link(self._scan.summary())
            yield page

    def _link(self, summary: Summary) -> None:
        if summary.next is None:
            return
        cursor = self._text(summary.next, summary)
        if cursor is None:
            # Without a link these rows would look like the last ones.
            raise BadValue(f"the key {str(summary.next)[:80]} is too long for a cursor")
        url = self._url.remove_query_params(["after"]).include_query_params(cursor=cursor)
        # Relative: the server may not know the name that its clients call it by.
        self.headers["link"] = f'<{url.path}?{url.query}>; rel="next"'

    def _cursor(self, summary: Summary) -> str | None:
        return self._text(summary.after, summary)

    def _text(self, after: Key | None, summary: Summary) -> str | None:
        if after is None or summary.until is None:
            return None
        return self._cursors.text(self._question, Place(after, summary.until, summary.state))


def headers(selection: Selection, question: Question, form: Representation) -> dict[str, str]:
    """Those that are known before any row is read."""
    known = {
        "Vary": "Accept, Accept-Encoding",
        "X-Dataset-Version": question.version,
        "X-Snapshot": "none" if selection.snapshot is None else "transaction",
    }
    return known | ({"Content-Encoding": form.coding} if form.coding else {})


async def counted(
    source: Source, schema: Schema, selection: Selection, count: str | None
) -> dict[str, str]:
    """The header line with the number of rows, where one is asked for and can be told."""
    if count is None:
        return {}
    exact = count == "exact"
    rows = await source.count(schema, selection, exact=exact)
    return {} if rows is None else {"X-Row-Count" if exact else "X-Row-Count-Estimate": str(rows)}


def head(form: Representation, lines: Mapping[str, str]) -> Response:
    """The answer to HEAD."""
    response = Response(media_type=form.media_type, headers={**STREAM_HEADERS, **lines})
    # The length of the body is unknown, and 0 would be another one.
    del response.headers["content-length"]
    return response
