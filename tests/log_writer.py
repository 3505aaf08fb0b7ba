"""Writes numbered lines into one log at a pace, and rotates it in every way: a program, or a class.

`log_writer.py PATH RATE SECONDS PAUSE [WAY...]` prints the number of lines at its end.
"""

import gzip
import os
import shutil
import subprocess
import sys

# sleep: lines come at a pace.
import time
from collections.abc import Callable
from pathlib import Path

#: Bytes of a line, its end included.
LINE = 72

#: Rotated files that are kept.
KEPT = 20


def line(number: int) -> bytes:
    return (f"L{number:010} ".ljust(LINE - 1, "x") + "\n").encode()


class Log:
    def __init__(self, path: Path, rate: int) -> None:
        self.path = path
        self.number = 0
        self._rate = rate
        self._links = 0
        self._file = self._open()

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, count: int) -> None:
        os.write(self._file, b"".join(map(line, range(self.number, self.number + count))))
        self.number += count

    def write_for(self, seconds: float) -> None:
        began, written = time.monotonic(), 0
        while (passed := time.monotonic() - began) < seconds:
            if (count := int(passed * self._rate) - written) > 0:
                self.write(min(count, 1000))
                written += min(count, 1000)
            time.sleep(0.005)

    def reopen(self) -> None:
        os.close(self._file)
        self._file = self._open()

    def sibling(self, number: int, suffix: str = "") -> Path:
        return self.path.with_name(f"{self.path.name}.{number}{suffix}")

    def make_room(self) -> None:
        """Moves `.1` to `.2` and so on; the oldest is deleted."""
        for suffix in ("", ".gz"):
            self.sibling(KEPT, suffix).unlink(missing_ok=True)
            for number in range(KEPT - 1, 0, -1):
                if (older := self.sibling(number, suffix)).exists():
                    older.rename(self.sibling(number + 1, suffix))

    def shift(self) -> None:
        self.make_room()
        self.path.rename(self.sibling(1))

    def copy(self) -> None:
        self.make_room()
        shutil.copy(self.path, self.sibling(1))
        os.truncate(self.path, 0)

    def link(self) -> None:
        """Swaps a symbolic link to another file, named by a date."""
        self._links += 1
        target = self.path.with_name(f"{self.path.name}.20261128-{self._links:06}")
        target.touch()
        new = self.path.with_name("link.new")
        new.symlink_to(target.name)
        if not self.path.is_symlink():
            self.shift()
        new.rename(self.path)
        self.reopen()

    def logrotate(self, *directives: str) -> None:
        """The real one; the writer reopens the file after it, as by a signal."""
        configuration = self.path.parent.with_name("logrotate.conf")
        text = "\n".join((f"rotate {KEPT}", "missingok", "nomail", *directives))
        configuration.write_text(f"{self.path} {{\n{text}\n}}\n")
        configuration.chmod(0o644)
        state = configuration.with_name("logrotate.state")
        command = ["logrotate", "--force", "--state", str(state), str(configuration)]
        subprocess.run(command, check=True, capture_output=True)
        self.reopen()


def rename(log: Log) -> None:
    log.shift()
    log.reopen()


def rename_and_write_on(log: Log) -> None:
    log.shift()
    log.write_for(0.4)
    log.reopen()


def chain(log: Log) -> None:
    for _ in range(3):
        log.shift()
        log.reopen()
        log.write(50)


def copytruncate(log: Log) -> None:
    log.copy()


def copytruncate_and_regrow(log: Log) -> None:
    lines = log.path.stat().st_size // LINE
    log.copy()
    log.write(lines + 10)


def copytruncate_and_regrow_to_the_same_size(log: Log) -> None:
    lines = log.path.stat().st_size // LINE
    log.copy()
    log.write(lines)


def compress(log: Log) -> None:
    rename(log)
    path = log.sibling(1)
    status = path.stat()
    log.sibling(1, ".gz").write_bytes(gzip.compress(path.read_bytes(), 1))
    os.utime(log.sibling(1, ".gz"), ns=(status.st_atime_ns, status.st_mtime_ns))
    path.unlink()


def swap_a_link(log: Log) -> None:
    for _ in range(2):
        log.link()
        log.write(50)
    # A regular file again: the next rotation renames a link, else.
    log.path.unlink()
    log.reopen()


def move_the_folder(log: Log) -> None:
    folder = log.path.parent
    away = folder.with_name("away")
    folder.rename(away)
    log.write_for(0.3)
    away.rename(folder)


def logrotate_create(log: Log) -> None:
    log.logrotate("create")


def logrotate_compress(log: Log) -> None:
    # By date: its numbers would overwrite plain files.
    log.logrotate("create", "compress", "dateext", "dateformat -%Y%m%d-%s")


def logrotate_dateext(log: Log) -> None:
    log.logrotate("create", "dateext", "dateformat -%Y%m%d-%s")


def logrotate_copytruncate(log: Log) -> None:
    log.logrotate("copytruncate")


Way = Callable[[Log], None]

WAYS: dict[str, Way] = {
    way.__name__: way
    for way in (
        rename,
        rename_and_write_on,
        chain,
        copytruncate,
        copytruncate_and_regrow,
        copytruncate_and_regrow_to_the_same_size,
        compress,
        swap_a_link,
        move_the_folder,
    )
}

LOGROTATE: dict[str, Way] = {
    way.__name__: way
    for way in (logrotate_create, logrotate_compress, logrotate_dateext, logrotate_copytruncate)
}


def main(path: str, rate: str, seconds: str, pause: str, *ways: str) -> None:
    log = Log(Path(path), int(rate))
    chosen = [(WAYS | LOGROTATE)[name] for name in ways]
    until = time.monotonic() + float(seconds)
    turn = 0
    while time.monotonic() < until:
        log.write_for(float(pause))
        chosen[turn % len(chosen)](log)
        turn += 1
    log.write_for(0.5)
    print(log.number)


if __name__ == "__main__":
    main(*sys.argv[1:])
