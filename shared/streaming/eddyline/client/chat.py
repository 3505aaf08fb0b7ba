"""An answer of chat, token by token: it is rejoined after a cut, and a part is never the whole."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Self
from urllib.parse import quote

import httpx
import orjson

from eddyline.client.api import Api, Attempts
from eddyline.client.errors import Failed, Incomplete, Refused
from eddyline.wire.sse import Event, Parser

#: Reasons with which a rejoined answer is whole, or as long as the model's limit allows.
WHOLE = ("stop", "length")


class Answer:
    """An asynchronous iterator of an answer's tokens.

    A connection that breaks is made again, and the answer goes on after its last token. Raises
    Incomplete where the answer ends before its end, and Refused or Failed where there is none.
    `generation_id` names it on the server, once it has begun. `finish_reason`, known at the end:
    `stop`, or `length` where the model's limit cut it.

    `message` is asked; or `generation_id` names an answer to read from its start.
    """

    def __init__(
        self, api: Api, message: str | None = None, generation_id: str | None = None
    ) -> None:
        self.finish_reason: str | None = None
        self.generation_id: str | None = generation_id
        self._api = api
        self._given = ""
        self._tokens = self._read(message)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        token = await anext(self._tokens)
        self._given += token
        return token

    async def text(self) -> str:
        """The rest of the answer, when all of it is there."""
        return "".join([token async for token in self])

    async def close(self) -> None:
        """Ends the request. The service keeps the answer for a while, for a reader that rejoins."""
        await self._tokens.aclose()

    async def _read(self, message: str | None) -> AsyncGenerator[str, None]:
        if message is not None:
            try:
                async with aclosing(self._ask(message)) as tokens:
                    async for token in tokens:
                        yield token
            except httpx.TransportError as error:
                self._require_id(f"the answer was cut: {error or type(error).__name__}")
        if self.finish_reason is None:
            self._require_id("the answer ended without its end")
            async with aclosing(self._rejoin()) as tokens:
                async for token in tokens:
                    yield token

    def _require_id(self, fault: str) -> None:
        if self.generation_id is None:
            raise Incomplete(fault)

    async def _ask(self, message: str) -> AsyncGenerator[str, None]:
        body = orjson.dumps({"message": message})
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        async with self._api.stream(
            "POST", "chat/stream", content=body, headers=headers
        ) as response:
            self.generation_id = response.headers.get("x-generation-id")
            async for event in _events(response):
                said = orjson.loads(event.data)
                if event.event == "error":
                    raise Incomplete(str(said.get("error", "the answer failed")))
                if said.get("done"):
                    self.finish_reason = said.get("finish_reason") or "stop"
                elif "token" in said:
                    yield said["token"]

    async def _rejoin(self) -> AsyncGenerator[str, None]:
        """The tokens after those that were given, in as many connections as it takes."""
        attempts = Attempts(self._api.patience)
        while self.finish_reason is None:
            try:
                async with aclosing(self._again()) as tokens:
                    async for token in tokens:
                        attempts.succeeded()
                        yield token
            except Refused as error:
                raise Incomplete(f"the answer can't be rejoined: {error}") from error
            except (Failed, httpx.TransportError) as error:
                await attempts.pause(error)
            else:
                if self.finish_reason is None:
                    await attempts.pause(Failed(200, "the answer ended without its end"))

    async def _again(self) -> AsyncGenerator[str, None]:
        """The answer from its start, without the part of it that was given."""
        path = f"v1/generations/{quote(self.generation_id or '', safe='')}/events"
        start = 0
        async with self._api.stream("GET", path, headers={"Accept": "text/event-stream"}) as found:
            async for event in _events(found):
                token = self._content(event)
                known = self._given[start : start + len(token)]
                if not token.startswith(known):
                    raise Incomplete("the answer is another one by now")
                start += len(token)
                if token := token[len(known) :]:
                    yield token

    def _content(self, event: Event) -> str:
        """The text of a chunk as OpenAI has it; takes the reason of the end from it."""
        if event.data == "[DONE]":
            # An answer that fails has its error before this.
            self.finish_reason = self.finish_reason or "stop"
            return ""
        said: dict[str, Any] = orjson.loads(event.data)
        if "error" in said:
            error = said["error"]
            raise Incomplete(str(error.get("message", error) if isinstance(error, dict) else error))
        text = ""
        for choice in said.get("choices", ()):
            text += choice.get("delta", {}).get("content") or ""
            reason = choice.get("finish_reason")
            if reason is not None and reason not in WHOLE:
                raise Incomplete(f"the answer ended by {reason!r}")
            self.finish_reason = reason or self.finish_reason
        return text


async def cancel(api: Api, generation_id: str) -> None:
    """Ends the making of an answer, wherever it is made."""
    await api.request("POST", f"v1/generations/{quote(generation_id, safe='')}/cancel")


async def _events(response: httpx.Response) -> AsyncGenerator[Event, None]:
    parser = Parser()
    async for chunk in response.aiter_bytes():
        for event in parser.feed(chunk):
            yield event
