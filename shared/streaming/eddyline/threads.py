"""Threads for work that may wait, such as a disk's or a database's: a pool for each kind of it.

A source that hangs, such as one disk or one locked database, holds some threads of its kind, and
none of another kind.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, TypeVar

T = TypeVar("T")

#: Threads of a kind. They are made when they are needed, and most of them sleep.
THREADS = 32

#: Threads that the work of one source may hold at a time; the rest of it waits.
PER_SOURCE = 8


class Threads:
    """The threads of one kind of work. Work of one source is begun in its order."""

    def __init__(self, kind: str, threads: int = THREADS, per_source: int = PER_SOURCE) -> None:
        self._executor: Final = ThreadPoolExecutor(threads, f"eddyline-{kind}")
        self._per_source = per_source
        self._lock = Lock()
        #: The number that runs, and the work that waits, of each source that has any.
        self._running: dict[Hashable, int] = {}
        self._waiting: dict[Hashable, deque[Callable[[], None]]] = {}

    def lane(self, source: Hashable) -> "Lane":
        """The threads as one source gets them."""
        return Lane(self, source)

    def submit(self, source: Hashable, work: Callable[..., T], *args: Any) -> Future[T]:
        """Runs `work` in a thread as soon as its source may have one. May be called anywhere."""
        future: Future[T] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    result = work(*args)
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)
            self._next(source)

        with self._lock:
            running = self._running.get(source, 0)
            if running >= self._per_source:
                self._waiting.setdefault(source, deque()).append(run)
                return future
            self._running[source] = running + 1
        self._executor.submit(run)
        return future

    def is_contended(self, source: Hashable) -> bool:
        """Whether work of this source waits for a thread."""
        return source in self._waiting

    def _next(self, source: Hashable) -> None:
        with self._lock:
            waiting = self._waiting.get(source)
            if waiting is not None:
                # At the end of the executor's queue: other sources have their turn.
                run = waiting.popleft()
                if not waiting:
                    del self._waiting[source]
            else:
                run = None
                self._running[source] -= 1
                if not self._running[source]:
                    del self._running[source]
        if run is not None:
            self._executor.submit(run)


@dataclass(frozen=True, slots=True)
class Lane:
    """The threads in which the work of one source runs."""

    threads: Threads
    source: Hashable

    @property
    def is_contended(self) -> bool:
        return self.threads.is_contended(self.source)

    def submit(self, work: Callable[..., T], *args: Any) -> Future[T]:
        return self.threads.submit(self.source, work, *args)

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """The result of `work`, which runs in a thread."""
        return await asyncio.wrap_future(self.submit(work, *args))


#: Disks: opening, listing, reading. A source is a folder, or a device.
FILES: Final = Threads("files")

#: Blocking producers of bodies. A source is a database, or the code of a generator, which may
#: sleep between its values: such a body holds a thread all the time.
PULLS: Final = Threads("pulls", threads=128, per_source=64)

#: Blocking generators of `Hub.produce`.
PRODUCERS: Final = Threads("produce", threads=128, per_source=64)


def source_of(iterator: object) -> Hashable:
    """The source of a producer that names none: its code, which all its clients share."""
    code: Hashable = getattr(iterator, "gi_code", None) or type(iterator).__qualname__
    return code
