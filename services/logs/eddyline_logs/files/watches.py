"""Wakes by inotify(7): hints that a file or a folder has changed. A poll finds changes without
them, as on file systems of other machines, or where the limits of inotify are reached.
"""

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from eddyline_logs.files.base import Identity

if sys.platform == "linux":
    from inotify_simple import INotify, flags

    _FILE = flags.MODIFY | flags.ATTRIB | flags.MOVE_SELF
    _FOLDER = (
        flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO | flags.MOVE_SELF
    ) | flags.ONLYDIR

_log = logging.getLogger(__name__)


class Watches:
    """One inotify instance, for all tails of a process. Use it within `with watches.run()`."""

    def __init__(self) -> None:
        self._inotify: INotify | None = None
        #: The events that a change sets, by watch: two sources may be in one folder.
        self._woken: dict[int, set[asyncio.Event]] = {}

    @contextmanager
    def run(self) -> Iterator[None]:
        """Without inotify nobody is ever woken."""
        if sys.platform == "linux":
            try:
                self._inotify = INotify(nonblocking=True)
            except OSError as error:
                _log.warning("no inotify, files are polled: %s", error)
        if self._inotify is None:
            yield
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(self._inotify.fileno(), self._read, self._inotify)
        try:
            yield
        finally:
            loop.remove_reader(self._inotify.fileno())
            self._inotify.close()
            self._inotify = None

    def add(self, path: str, event: asyncio.Event, *, folder: bool) -> int | None:
        """The watch of a path; None where it can't be watched."""
        if self._inotify is None:
            return None
        try:
            watch: int = self._inotify.add_watch(path, _FOLDER if folder else _FILE)
        except OSError:
            return None
        self._woken.setdefault(watch, set()).add(event)
        return watch

    def remove(self, watch: int, event: asyncio.Event) -> None:
        woken = self._woken.get(watch, set())
        woken.discard(event)
        if not woken and self._woken.pop(watch, None) is not None and self._inotify is not None:
            with suppress(OSError):  # the file is gone, and its watch with it
                self._inotify.rm_watch(watch)

    def _read(self, inotify: "INotify") -> None:
        for change in inotify.read(timeout=0):
            if change.mask & flags.Q_OVERFLOW:
                for all_of_it in self._woken.values():
                    _set(all_of_it)
            _set(self._woken.get(change.wd, set()))
            if change.mask & flags.IGNORED:
                self._woken.pop(change.wd, None)


def _set(events: set[asyncio.Event]) -> None:
    for event in events:
        event.set()


class Waker:
    """The watches of one tail: of the files that it holds, and the folder of its log."""

    def __init__(self, watches: Watches, folder: Path | None) -> None:
        self._watches = watches
        self._folder = folder
        self._event = asyncio.Event()
        self._files: dict[Identity, int | None] = {}
        self._folder_watch: int | None = None

    def watch(self, descriptors: dict[Identity, int]) -> bool:
        """Watches these files and no others. Whether any is new: it may have changed before."""
        for identity in self._files.keys() - descriptors.keys():
            self._remove(self._files.pop(identity))
        new = descriptors.keys() - self._files.keys()
        for identity in new:
            path = f"/proc/self/fd/{descriptors[identity]}"
            self._files[identity] = self._watches.add(path, self._event, folder=False)
        return bool(new) | self._watch_folder()

    def _watch_folder(self) -> bool:
        """The folder may be another one under its name: the same one has the same watch."""
        if self._folder is None:
            return False
        watch = self._watches.add(str(self._folder), self._event, folder=True)
        if watch == self._folder_watch:
            return False
        self._remove(self._folder_watch)
        self._folder_watch = watch
        return True

    async def wait(self, seconds: float) -> bool:
        """Whether anything has changed, as far as the system tells."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        woken = self._event.is_set()
        self._event.clear()
        return woken

    @property
    def works(self) -> bool:
        """Whether the files are watched."""
        return bool(self._files) and None not in self._files.values()

    def close(self) -> None:
        for watch in (*self._files.values(), self._folder_watch):
            self._remove(watch)
        self._files.clear()

    def _remove(self, watch: int | None) -> None:
        if watch is not None:
            self._watches.remove(watch, self._event)
