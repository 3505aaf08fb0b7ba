"""One version of a file: its validators, which change whenever its bytes may have changed."""

import os
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import blake2b

#: Seconds after a change in which another one may get the same time: file systems keep times in
#: ticks, the coarsest of them in ticks of two seconds.
TICK = 2.0

_NANO = 10**9

#: The beginning of a tag that is made of the content.
CONTENT_TAG = '"sha256-'


@dataclass(frozen=True, slots=True)
class FileVersion:
    """The facts of a file in the file system at one moment: `size` in bytes, times in Unix ns.

    `changed` (ctime) moves with each write, and nobody can set it back: not `touch -r`, nor
    `cp -p`. A file that takes the name over by a rename has another inode, or another ctime.

    `sha256` is the digest of the content, where it is known. `keeps_tag`: clients have been told
    the tag of the facts a short time ago, and go on with it.
    """

    size: int
    modified: int
    changed: int
    inode: int
    device: int = 0
    sha256: bytes | None = None
    keeps_tag: bool = False

    @classmethod
    def from_status(cls, status: os.stat_result) -> "FileVersion":
        return cls(
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_ino,
            status.st_dev,
        )

    @property
    def identity(self) -> tuple[int, ...]:
        """The facts: a file of the same facts has the same bytes, once it is settled."""
        return self.device, self.inode, self.size, self.modified, self.changed

    def is_settled(self, now: float) -> bool:
        """Whether any other write would have another time than the last one; `now` in Unix s."""
        return self.changed / _NANO + TICK <= now

    def etag(self, now: float) -> str:
        """The entity tag (RFC 9110 §8.8.3) at `now`, in Unix seconds: the first of `tags`."""
        return self.tags(now)[0]

    def tags(self, now: float) -> tuple[str, ...]:
        """Every entity tag that names this version, and the one to tell first.

        The tag of the content is the same on each replica and for each copy. Until the digest is
        known the tag is made of the facts. It is strong, unless another write could still hide in
        the tick of the last one. Then the tag is weak, and another one than later: later matches
        would be of bytes of either write.
        """
        if self.sha256 is None:
            return (self._tag_of_facts(now),)
        tags = self._tag_of_content(self.sha256), self._tag_of_facts(now)
        return tags[::-1] if self.keeps_tag else tags

    def _tag_of_facts(self, now: float) -> str:
        strong = self.is_settled(now)
        facts = f"{self.inode} {self.size} {self.modified} {self.changed} {strong}".encode()
        tag = urlsafe_b64encode(blake2b(facts, digest_size=15).digest()).decode()
        return f'"{tag}"' if strong else f'W/"{tag}"'

    @staticmethod
    def _tag_of_content(sha256: bytes) -> str:
        return f'{CONTENT_TAG}{urlsafe_b64encode(sha256).decode().rstrip("=")}"'

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
