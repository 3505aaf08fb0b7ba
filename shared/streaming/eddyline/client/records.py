"""Rows of a dataset: each once, however often the connection breaks; a part is never the whole."""

import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Self
from urllib.parse import quote

import httpx

from eddyline.client.api import Api, Attempts
from eddyline.client.errors import DigestMismatch, Failed, Incomplete
from eddyline.client.events.messages import loads


class Rows:
    """An asynchronous iterator of rows, as objects.

    Rows come a page at a time, and a stream that breaks goes on after the last whole page. Raises
    Incomplete where the service ends with an error, and DigestMismatch where bytes were changed on
    the way. `cursor`: the place after the last page. `changed`, known at the end: others wrote
    meanwhile, so that a row whose key they moved may have come twice, or never.
    """

    def __init__(
        self, api: Api, dataset: str, columns: Sequence[str], cursor: str | None, limit: int | None
    ) -> None:
        self.cursor: str | None = cursor
        self.changed: bool = False
        self._api = api
        self._path = f"records/{quote(dataset, safe='')}"
        self._query = [("framed", "1"), ("format", "ndjson")]
        if columns:
            self._query.append(("columns", ",".join(columns)))
        if limit is not None:
            self._query.append(("limit", str(limit)))
        self._limit = limit
        self._whole = False
        self._rows = self._read()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        return await anext(self._rows)

    async def close(self) -> None:
        """Ends the request."""
        await self._rows.aclose()

    async def _read(self) -> AsyncGenerator[dict[str, Any], None]:
        attempts = Attempts(self._api.patience)
        given = 0
        while not self._whole:
            try:
                async with aclosing(self._pages()) as pages:
                    async for page in pages:
                        attempts.succeeded()
                        for row in page:
                            if given != self._limit:
                                given += 1
                                yield row
            except (Failed, httpx.TransportError) as error:
                await attempts.pause(error)
            else:
                if not self._whole:
                    await attempts.pause(Failed(200, "the rows ended without their end"))

    async def _pages(self) -> AsyncGenerator[list[dict[str, Any]], None]:
        """The whole pages of one request. `cursor` is moved before each is given."""
        page: list[dict[str, Any]] = []
        digest = hashlib.sha256()
        query = [*self._query, *([("cursor", self.cursor)] if self.cursor else [])]
        async with self._api.stream("GET", self._path, query) as response:
            rest = b""
            async for chunk in response.aiter_raw():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    said = loads(line)
                    if "row" in said:
                        page.append(said["row"])
                    elif "error" in said:
                        raise Incomplete(_reason(said["error"]))
                    else:
                        self._take(said, digest.hexdigest())
                        yield page
                        page = []
                    digest.update(line + b"\n")

    def _take(self, said: dict[str, Any], digest: str) -> None:
        """The place after a page, or the end of all."""
        end = said.get("end")
        if end is None:
            self.cursor = said.get("cursor", self.cursor)
            return
        if end.get("sha256", digest) != digest:
            raise DigestMismatch(f"the rows have the SHA-256 {digest}, and not {end['sha256']}")
        self.cursor = end.get("cursor", self.cursor)
        self.changed = self.changed or bool(end.get("changed"))
        self._whole = True


def _reason(error: Any) -> str:
    return str(error.get("detail", error)) if isinstance(error, dict) else str(error)
