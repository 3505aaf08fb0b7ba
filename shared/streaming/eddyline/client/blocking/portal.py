"""An event loop in a thread of its own, for callers that have none."""

import asyncio
from collections.abc import Coroutine
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


class Portal:
    """Runs coroutines for any number of threads. A process that was forked needs a new one."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._serve, name="eddyline-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, which is cancelled where the caller is interrupted."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def end(self, last: Coroutine[Any, Any, None]) -> None:
        """Runs `last`, and ends the loop and its thread; waits for neither.

        A finalizer calls it, in any thread: in the loop's own one it could not wait.
        """

        def stop(_: Any) -> None:
            self._loop.call_soon_threadsafe(self._loop.stop)

        asyncio.run_coroutine_threadsafe(last, self._loop).add_done_callback(stop)

    def join(self) -> None:
        self._thread.join()

    def _serve(self) -> None:
        self._loop.run_forever()
        # Of two generators, one in the other, both are closed at once: the second one complains.
        self._loop.set_exception_handler(lambda *_: None)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
