"""Requests to one suite: its address, the token, and attempts that are repeated."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from eddyline.client.errors import Failed, error_of
from eddyline.client.event_source import EventSource, Given, value_of
from eddyline.tasks import Backoff

#: An answer that breaks off, or is none of HTTP.
CutOff = httpx.RemoteProtocolError

Query = Sequence[tuple[str, str]]


class Api:
    """`patience`: seconds for which a request is tried again; `timeout`: of one silence."""

    def __init__(
        self,
        url: str,
        *,
        token: Given | None = None,
        timeout: float = 45.0,
        patience: float = 30.0,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        self.url: httpx.URL = httpx.URL(url.rstrip("/") + "/")
        self.patience: float = patience
        self._token = token
        self._timeout = timeout
        self._owns_client = client is None
        self._client = client or httpx.AsyncClient()

    async def close(self) -> None:
        if self._owns_client:
            await self._client.aclose()

    async def request(
        self,
        method: str,
        path: str,
        query: Query = (),
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """An answer of 2xx, read whole. The request must be one that may be sent again.

        Raises Refused at once, and Failed when `patience` is over.
        """
        attempts = Attempts(self.patience)
        while True:
            try:
                async with self.stream(
                    method, path, query, content=content, headers=headers
                ) as response:
                    await response.aread()
                    return response
            except (Failed, httpx.NetworkError, httpx.TimeoutException, CutOff) as error:
                await attempts.pause(error)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        query: Query = (),
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """One attempt: an answer of 2xx whose body is not read yet; raises Refused or Failed."""
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        if self._token is not None:
            sent["Authorization"] = f"Bearer {await value_of(self._token)}"
        request = self._client.build_request(
            method,
            self.at(path, query),
            content=content,
            headers=sent,
            timeout=self._timeout,
        )
        reads = method in ("GET", "HEAD")
        try:
            response = await self._client.send(request, stream=True, follow_redirects=reads)
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError):
            raise  # no server is at fault
        except httpx.TransportError as error:
            raise Failed(0, str(error) or type(error).__name__) from error
        try:
            if not response.is_success:
                raise await error_of(response)
            yield response
        finally:
            await response.aclose()

    def source(self, path: str, query: Query, last_event_id: str, **options: Any) -> EventSource:
        """The events of a path, which come back by themselves."""
        return EventSource(
            str(self.at(path, query)),
            last_event_id=last_event_id,
            token=self._token,
            timeout=self._timeout,
            client=self._client,
            **options,
        )

    def at(self, path: str, query: Query = ()) -> httpx.URL:
        """The URL of a path below the suite's, whose prefix stays."""
        url = httpx.URL(str(self.url) + path.lstrip("/"))
        return url.copy_with(params=list(query)) if query else url


class Attempts:
    """The pauses between attempts, until `patience` seconds have passed without success."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._backoff = Backoff(0.2, 5.0, (0.0, 1.0))
        self._until = time.monotonic() + patience

    def succeeded(self) -> None:
        """Something came: the patience begins anew."""
        self._backoff.reset()
        self._until = time.monotonic() + self._patience

    async def pause(self, error: Failed | httpx.TransportError) -> None:
        """Waits before the next attempt; raises the error, as Failed, where none is left."""
        asked = error.retry_after if isinstance(error, Failed) else 0.0
        pause = asked + self._backoff.next()
        if time.monotonic() + pause > self._until:
            if isinstance(error, Failed):
                raise error
            raise Failed(0, str(error) or type(error).__name__) from error
        await _wait(pause)


async def _wait(seconds: float) -> None:
    """Tests have a clock of their own here."""
    await asyncio.sleep(seconds)
