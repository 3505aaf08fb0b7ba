"""One version of a file: its validators, which change whenever its bytes may have changed."""

import os
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import blake2b

#: Seconds after a change in which another one may get the same time: file systems keep times in
#: ticks, the coarsest of them in ticks of two seconds.
TICK = 2.0

_NANO = 10**9


@dataclass(frozen=True, slots=True)
class FileVersion:
    """The facts of a file in the file system at one moment: `size` in bytes, times in Unix ns.

    `changed` (ctime) moves with each write, and nobody can set it back: not `touch -r`, nor
    `cp -p`. A file that takes the name over by a rename has another inode, or another ctime.
    """

    size: int
    modified: int
    changed: int
    inode: int

    @classmethod
    def from_status(cls, status: os.stat_result) -> "FileVersion":
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    def etag(self, now: float) -> str:
        """The entity tag (RFC 9110 §8.8.3) at `now`, in Unix seconds.

        It is strong, unless another write could still hide in the tick of the last one. Then the
        tag is weak, and another one than later: later matches would be of bytes of either write.
        """
        strong = self.changed / _NANO + TICK <= now
        facts = f"{self.inode} {self.size} {self.modified} {self.changed} {strong}".encode()
        tag = urlsafe_b64encode(blake2b(facts, digest_size=15).digest()).decode()
        return f'"{tag}"' if strong else f'W/"{tag}"'

    def last_modified(self, now: float) -> int | None:
        """The Unix seconds for `Last-Modified`; None where no date can be told.

        - A second that may see another write names no version (§8.8.2.2).
        - A date of the future is replaced by that of the message (§8.8.2.1), of which a server's
          own `Date` may be a second behind.
        - 0 and 1 stand for "no date": archives and builds that leave dates out write them.
        """
        seconds = self.modified // _NANO
        if seconds > now:
            return int(now) - 1
        return seconds if 1 < seconds <= now - TICK else None

    def is_dated(self, seconds: int) -> bool:
        """Whether a date is a strong validator of these bytes (§8.8.2.2): nothing has changed the
        file since the second that it names, not even a copy with the times of the original.
        """
        return self.modified // _NANO == seconds and self.changed // _NANO <= seconds
