"""Kicks: streams are ended on every process of a hub, and their subject is refused for a time."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

import orjson

from eddyline.auth.principal import Principal
from eddyline.errors import Forbidden, Unavailable
from eddyline.journal.base import Signals
from eddyline.journal.state import State
from eddyline.tasks import background
from eddyline_events.hub.presence.presence import Presence, Present

KIND = "kick"

#: Seconds between two looks at the kicks of other processes: a signal may be lost.
TICK = 10.0

What = Literal["subscriber", "subject", "token"]
WHATS: tuple[What, ...] = ("subscriber", "subject", "token")

_log = logging.getLogger("eddyline.events")


class Kicks:
    """The kicks of the last `seconds`. One for each hub and process."""

    def __init__(self, state: State, signals: Signals, presence: Presence, seconds: float) -> None:
        self._state = state
        self._signals = signals
        self._presence = presence
        self._seconds = seconds
        #: The ends of kicks, in unix seconds, by kind and name: `subject:alice`.
        self._kicked: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        presence.on_join.append(self._joined)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        try:
            async with background(self._tick()):
                yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def kick(self, what: What, name: str) -> None:
        """Ends its streams everywhere, and refuses its return.

        Raises Unavailable where the other processes may not have heard of it: in this one it holds.
        Of a kicked subscriber the token is refused from then on, where the token has an id.
        """
        key, until = f"{what}:{name}", time.time() + self._seconds
        self._take({key: until})
        message = orjson.dumps({"kick": key, "until": until})
        # A Redis that is full passes signals on, and keeps nothing.
        failures = await asyncio.gather(
            self._state.put(KIND, key, b"%d" % until, seconds=self._seconds),
            self._signals.signal(message),
            return_exceptions=True,
        )
        for failure in failures:
            if isinstance(failure, BaseException):
                raise failure

    def require_not_kicked(self, principal: Principal) -> None:
        """Raises Forbidden while it is kicked; that stops an EventSource for good."""
        until = self._until(principal.subject, principal.token_id) if self._kicked else 0.0
        if until > time.time():
            left = int(until - time.time()) + 1
            raise Forbidden(f"the subject or its token was kicked: refused for {left} seconds more")

    def on_signal(self, message: bytes) -> None:
        """Take a message that a process of the hub sent to all."""
        if message.startswith(b'{"kick":'):
            value = orjson.loads(message)
            self._take({value["kick"]: value["until"]})

    def _until(self, subject: str | None, token_id: str | None, id: str | None = None) -> float:
        names = (("subscriber", id), ("subject", subject), ("token", token_id))
        keys = [f"{what}:{name}" for what, name in names if name is not None]
        return max((self._kicked.get(key, 0.0) for key in keys), default=0.0)

    def _take(self, kicked: dict[str, float]) -> None:
        new = {key: until for key, until in kicked.items() if self._kicked.get(key, 0.0) < until}
        self._kicked |= new
        for present in self._presence.here() if new else ():
            self._end_if_kicked(present)

    def _joined(self, present: Present) -> None:
        if self._kicked:
            # A subscriber may be admitted in the moment before its kick. It is ended in the next
            # turn of the loop, when it has joined.
            asyncio.get_running_loop().call_soon(self._end_if_kicked, present)

    def _end_if_kicked(self, present: Present) -> None:
        until = self._until(present.subject, present.token_id, present.id)
        if present.subscriber is None or until <= time.time():
            return
        token = f"token:{present.token_id}"
        if present.token_id is not None and token not in self._kicked:
            task = asyncio.create_task(self._kick_quietly(present.token_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        present.subscriber.end("kicked")

    async def _kick_quietly(self, token_id: str) -> None:
        with suppress(Unavailable):
            await self.kick("token", token_id)

    async def _learn(self) -> None:
        found = await self._state.all(KIND)
        now = time.time()
        self._kicked = {key: until for key, until in self._kicked.items() if until > now}
        self._take({key: float(until) for key, until in found.items()})

    async def _tick(self) -> None:
        while True:
            try:
                await self._learn()
            except Unavailable:
                pass  # said by the state
            except Exception:
                _log.exception("kicks of other processes could not be read")
            await asyncio.sleep(TICK)
