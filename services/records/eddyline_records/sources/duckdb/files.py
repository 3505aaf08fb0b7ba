"""The files of a dataset, and the version that they are."""

import glob
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from eddyline_records.sources.base import SourceChanged


@dataclass(frozen=True, slots=True)
class Files:
    """Those that the pattern names now, in the order of their names; rows come in this order."""

    paths: tuple[str, ...]
    version: str

    @classmethod
    def found(cls, pattern: str) -> "Files":
        """Raises OSError where there is none."""
        paths = tuple(sorted(glob.glob(pattern, recursive=True)))
        if not paths:
            raise FileNotFoundError(f"there is no file {pattern}")
        return cls(paths, _version(paths))

    def check(self) -> None:
        """Raises SourceChanged where a file is not the one that was found."""
        try:
            same = _version(self.paths) == self.version
        except OSError:
            same = False
        if not same:
            raise SourceChanged(
                "the dataset changed while it was read: a file was replaced or written. Ask again"
            )


def _version(paths: tuple[str, ...]) -> str:
    """Another one when a file was replaced, or written in place."""
    found = [(path, os.stat(path)) for path in paths]
    parts = [
        (Path(path).name, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        for path, stat in found
    ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
