"""Answers begin here, whichever route asks: they are admitted, logged and sent."""

import uuid
from collections.abc import Callable
from typing import Any

from fastapi import Request, Response

from eddyline.auth.principal import Principal
from eddyline.errors import BadRequest, NotFound
from eddyline.service.admission import Permit
from eddyline.service.app import Context
from eddyline.telemetry.metrics import StreamMetrics
from eddyline.wire import sse
from eddyline_chat.generations import records
from eddyline_chat.generations.generation import OnDisconnect
from eddyline_chat.generations.generations import Generations
from eddyline_chat.generations.starting import Starting
from eddyline_chat.http.answer import Answer, Pace
from eddyline_chat.http.forms import Form
from eddyline_chat.openai.chunk import Chunk
from eddyline_chat.settings import ChatSettings
from eddyline_chat.upstreams.base import Question, Upstream, Upstreams
from eddyline_chat.v1.forms import ChunkStream

#: The header with the id of an answer; OpenRouter has the same.
ID = "X-Generation-Id"

_CHOICES: dict[str, OnDisconnect] = {"cancel": "cancel", "continue": "continue"}


class Answers:
    """The answers of the service; `generations` is None where none can be rejoined."""

    #: Set by the lifespan of the service: there are upstreams only while it runs.
    upstreams: Upstreams

    def __init__(
        self, context: Context, settings: ChatSettings, generations: Generations | None = None
    ) -> None:
        self.context = context
        self.generations = generations
        self._pace = Pace(settings.head_after, settings.heartbeat)
        self._pulls = StreamMetrics("chat", "pull")

    async def caller(self, request: Request) -> Principal:
        """Raises Unauthorized, or Forbidden without the scope `chat:complete`."""
        caller = await self.context.authenticator.principal(request)
        caller.require("chat", "complete")
        return caller

    async def kept(self, request: Request, missing: str) -> tuple[Generations, Principal]:
        """The answers that can be rejoined, and their caller. Raises NotFound, which begins with
        the text `missing`, where none are kept.
        """
        caller = await self.caller(request)
        if self.generations is None:
            raise NotFound(f"{missing}: CHAT_STORE is none")
        return self.generations, caller

    async def answer(
        self,
        request: Request,
        caller: Principal,
        upstream: Upstream,
        question: Question,
        form: Form,
        payload: Callable[[Chunk], bytes],
        id: str = "",
    ) -> Response:
        """The response with a new answer, or with the one that is known by `id`."""
        id = id or new_id()
        headers = {"X-Chat-Upstream": self.upstreams.label, "X-Content-Type-Options": "nosniff"}
        fate = on_disconnect(request)
        with self.context.limits.for_request(request, caller) as permit:
            if self.generations is not None:
                headers[ID] = id
                made = await self.generations.begin(caller.identity, id, upstream, payload, fate)
                if made is None:
                    return await self._joined(caller, permit, id, form, headers)
                with made.asked():
                    return await self._sent(request, caller, permit, made, question, form, headers)
            return await self._sent(request, caller, permit, upstream, question, form, headers)

    async def _sent(
        self,
        request: Request,
        caller: Principal,
        permit: Permit,
        upstream: Upstream,
        question: Question,
        form: Form,
        headers: dict[str, str],
    ) -> Response:
        context = self.context.stream(self._pulls, permit, caller.expires)
        answer = Answer(form, context, self._pace)
        return await answer.response(request, upstream, question, headers)

    async def start(
        self,
        caller: Principal,
        id: str,
        question: Question,
        fate: OnDisconnect,
        first: dict[str, Any] | None = None,
    ) -> Starting:
        """Begins an answer that is read from its log alone; `first`: a record of ours in front."""
        assert self.generations is not None
        chunks = ChunkStream(self.upstreams.model, id, usage=True)
        made = await self.generations.begin(
            caller.identity, id, self.upstreams.completions, chunks.payload, fate
        )
        assert made is not None  # the id is new
        if first is not None:
            made.note(first)
        starting = Starting(made)
        with made.asked():
            made.ask(question, starting)
        return starting

    async def _joined(
        self, caller: Principal, permit: Permit, id: str, form: Form, headers: dict[str, str]
    ) -> Response:
        assert self.generations is not None
        if form.heartbeat is None:
            data = await self.generations.whole(caller.identity, id)
            return Response(data, media_type=form.media_type, headers=headers)
        headers = {**sse.STREAM_HEADERS, **headers}
        return await self.generations.events(
            caller.identity, id, None, permit, caller.expires, headers, records.COMPLETION
        )


def new_id() -> str:
    return f"gen-{uuid.uuid4().hex}"


def on_disconnect(request: Request) -> OnDisconnect:
    """The header `X-On-Disconnect`. Raises BadRequest."""
    found = request.headers.get("x-on-disconnect", "cancel")
    if found not in _CHOICES:
        raise BadRequest(f"X-On-Disconnect: {found[:80]!r}: expected cancel or continue")
    return _CHOICES[found]
