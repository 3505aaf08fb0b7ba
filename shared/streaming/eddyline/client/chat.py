"""An answer of chat, token by token: a part is never taken for the whole."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Self

import httpx
import orjson

from eddyline.client.api import Api
from eddyline.client.errors import Incomplete
from eddyline.wire.sse import Parser


class Answer:
    """An asynchronous iterator of an answer's tokens.

    Raises Incomplete where the answer ends before its end, and Refused or Failed where there is
    none. `finish_reason`, known at the end: `stop`, or `length` where the model's limit cut it.
    """

    def __init__(self, api: Api, message: str) -> None:
        self.finish_reason: str | None = None
        self._tokens = self._read(api, message)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        return await anext(self._tokens)

    async def text(self) -> str:
        """The rest of the answer, when all of it is there."""
        return "".join([token async for token in self])

    async def close(self) -> None:
        """Ends the request, and with it the answer's making."""
        await self._tokens.aclose()

    async def _read(self, api: Api, message: str) -> AsyncGenerator[str, None]:
        body = orjson.dumps({"message": message})
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        try:
            async with api.stream("POST", "chat/stream", content=body, headers=headers) as response:
                async with aclosing(self._tokens_of(response)) as tokens:
                    async for token in tokens:
                        yield token
        except httpx.TransportError as error:
            raise Incomplete(f"the answer was cut: {error or type(error).__name__}") from error
        if self.finish_reason is None:
            raise Incomplete("the answer ended without its end")

    async def _tokens_of(self, response: httpx.Response) -> AsyncGenerator[str, None]:
        parser = Parser()
        async for chunk in response.aiter_bytes():
            for event in parser.feed(chunk):
                said = orjson.loads(event.data)
                if event.event == "error":
                    raise Incomplete(str(said.get("error", "the answer failed")))
                if said.get("done"):
                    self.finish_reason = said.get("finish_reason", "stop")
                elif "token" in said:
                    yield said["token"]
