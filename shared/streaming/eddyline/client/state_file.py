"""The place in a stream, kept in a file: a program that starts again goes on there."""

import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path

from eddyline.client.errors import StateFileError


class StateFile:
    """The id of the last event of `stream`, a name that tells streams apart.

    One process at a time has the file: a second one would move the place of the first. Raises
    StateFileError where another process has it, or the file belongs to another stream.
    """

    def __init__(self, path: Path, stream: str) -> None:
        self._path = path
        self._stream = stream
        self._lock = path.with_name(f"{path.name}.lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise StateFileError(f"{path} is in use by another process") from None
        try:
            self._id = self._read()
        except StateFileError:
            self._lock.close()
            raise

    @property
    def last_event_id(self) -> str:
        """Empty where nothing was read yet."""
        return self._id

    def save(self, last_event_id: str) -> None:
        """Takes the place of the file as a whole: a kill leaves the old place or the new one."""
        if last_event_id == self._id:
            return
        made = self._path.with_name(f"{self._path.name}.new")
        made.write_text(json.dumps({"stream": self._stream, "id": last_event_id}))
        os.replace(made, self._path)
        self._id = last_event_id

    def close(self) -> None:
        self._lock.close()

    def _read(self) -> str:
        text = ""
        with suppress(FileNotFoundError):
            text = self._path.read_text()
        if not text:
            return ""
        try:
            kept = json.loads(text)
            stream, last_event_id = str(kept["stream"]), str(kept["id"])
        except (ValueError, TypeError, KeyError):
            raise StateFileError(
                f"{self._path} holds no place in a stream: remove it to begin anew"
            ) from None
        if stream != self._stream:
            raise StateFileError(
                f"{self._path} holds the place in {stream}, and this is {self._stream}:"
                " name another file"
            )
        return last_event_id
