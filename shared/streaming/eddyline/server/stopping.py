"""Notice that the process is asked to stop, on any ASGI server.

ASGI tells an app of the end by `lifespan.shutdown`, and servers send that after their connections
have closed. A stream has no end of its own: without an earlier notice a server waits for ever, or
cuts streams off without their last bytes.

uvicorn, granian and hypercorn without workers take signals in the process that serves. hypercorn's
workers get none: its master tells them by an event of `multiprocessing`.
"""

import asyncio
import multiprocessing
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import FrameType
from typing import Any

from eddyline.tasks import background

SIGNALS = (signal.SIGINT, signal.SIGTERM)

#: Seconds between looks at hypercorn's event; its own workers look as often.
POLL = 0.1

Handler = Callable[[int, FrameType | None], Any]


@asynccontextmanager
async def on_stop(call: Callable[[], None]) -> AsyncIterator[None]:
    """Within the block `call()` runs in the event loop as soon as the process is asked to stop.

    Enter it in a lifespan: servers have set their signal handlers by then. `call` may run more
    than once, at each signal.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(_chained_signals(call))
        if (stops := _hypercorn_stops()) is not None:
            await stack.enter_async_context(background(_poll(stops, call)))
        yield


@contextmanager
def _chained_signals(call: Callable[[], None]) -> Iterator[None]:
    """Signals that the server handles run `call`, too. Those that nobody handles keep their effect.

    Only the main thread may set handlers: elsewhere nothing is set.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    set_here: dict[signal.Signals, tuple[Handler, Handler]] = {}
    for number in SIGNALS:
        former = signal.getsignal(number)
        if callable(former):
            handler = _chained(loop, call, former)
            signal.signal(number, handler)
            set_here[number] = (handler, former)
    try:
        yield
    finally:
        for number, (handler, former) in set_here.items():
            # A handler that was set later has this one for its former: it stays in the chain.
            if signal.getsignal(number) is handler:
                signal.signal(number, former)


def _chained(loop: asyncio.AbstractEventLoop, call: Callable[[], None], former: Handler) -> Handler:
    def handle(number: int, frame: FrameType | None) -> None:
        if not loop.is_closed():
            # Signals come in the midst of anything: the loop runs `call` between two callbacks.
            loop.call_soon_threadsafe(call)
        former(number, frame)

    return handle


def _hypercorn_stops() -> Callable[[], bool] | None:
    """Tells whether hypercorn's master stops this worker; None in any other process.

    hypercorn hands the event to its worker function alone; multiprocessing keeps it in `_kwargs`.
    """
    arguments: dict[str, Any] = getattr(multiprocessing.current_process(), "_kwargs", {})
    event = arguments.get("shutdown_event")
    return getattr(event, "is_set", None)


async def _poll(stops: Callable[[], bool], call: Callable[[], None]) -> None:
    while not stops():
        await asyncio.sleep(POLL)
    call()
