"""The folder of a store: one writer at a time, and how the last one left it."""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from eddyline.errors import SettingsError, UnknownFormat
from eddyline.store.segments.loading import FORMAT
from eddyline.store.segments.writing import sync_folder

#: Where the streams lie, below the folder of a store.
STREAMS = "streams"

#: When an acknowledged write is on the disk: at once, or after a while.
Sync = Literal["always", "interval"]


@dataclass(frozen=True, slots=True)
class Run:
    """One life of a writer. `lossy`: the newest run that may have lost acknowledged writes."""

    number: int
    lossy: int


class Keeper:
    """The one process that writes to a store's folder."""

    def __init__(self, root: Path, sync: Sync) -> None:
        self._root = root
        self._sync = sync
        self._state = root / "store.json"

    @contextmanager
    def run(self) -> Iterator[Run]:
        """Makes the folder, locks it, and notes whether this run ends as it should.

        Raises SettingsError where the folder can't be written to or another process writes to it.
        """
        try:
            for name in (STREAMS, "new", "trash"):
                (self._root / name).mkdir(parents=True, exist_ok=True)
            lock = os.open(self._root / "writer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise SettingsError(f"the store's folder {self._root}: {error.strerror}") from error
        try:
            self._lock(lock)
            run = self._begin()
            self._clear()
            yield run
            self._note(run, clean=True)
        finally:
            os.close(lock)

    def _lock(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = "another process writes to it: a store of files has one writer"
            raise SettingsError(f"the store's folder {self._root}: {text}") from None

    def _begin(self) -> Run:
        try:
            last = orjson.loads(self._state.read_bytes())
        except FileNotFoundError:
            last = {"format": FORMAT, "run": 0, "lossy": 0, "clean": True, "sync": self._sync}
        if last["format"] != FORMAT:
            raise UnknownFormat(f"the store {self._root}", str(last["format"]), str(FORMAT))
        lost = last["sync"] == "interval" and not last["clean"]
        run = Run(last["run"] + 1, last["run"] if lost else last["lossy"])
        self._note(run, clean=False)
        return run

    def _note(self, run: Run, clean: bool) -> None:
        value: dict[str, Any] = {"format": FORMAT, "run": run.number, "lossy": run.lossy}
        value |= {"clean": clean, "sync": self._sync}
        new = self._state.with_suffix(".new")
        with new.open("wb") as file:
            file.write(orjson.dumps(value))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._state)
        sync_folder(self._root)

    def _clear(self) -> None:
        """Removes streams that a crash left half made."""
        for folder in (self._root / "new").iterdir():
            shutil.rmtree(folder)

    @property
    def trash(self) -> list[Path]:
        """Streams that are gone, and whose files are not yet."""
        return list((self._root / "trash").iterdir())

    def new_folder(self) -> Path:
        """Where a stream is made, until it is whole."""
        folder = self._root / "new" / uuid.uuid4().hex
        folder.mkdir()
        return folder

    def show(self, folder: Path, place: Path) -> None:
        """Moves a stream that is whole to its place."""
        folder.rename(place)
        sync_folder(place.parent)

    def remove(self, place: Path) -> Path:
        """Removes a stream in one step. Returns where its files are now."""
        trash = self._root / "trash" / uuid.uuid4().hex
        place.rename(trash)
        sync_folder(place.parent)
        return trash

    def mark_deleted(self, place: Path) -> None:
        """Only its forks keep the stream from now on."""
        (place / "deleted").touch()
        sync_folder(place)
