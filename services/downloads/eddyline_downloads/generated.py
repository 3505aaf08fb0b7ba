"""Chunks made when they are asked for: a body whose length nobody knows before its end."""

from collections.abc import Iterator

#: Bytes.
CHUNK = 64 * 1024


def generated(count: int) -> Iterator[bytes]:
    """`count` chunks; each is full of lines that tell its number."""
    for number in range(count):
        yield b"%015d\n" % number * (CHUNK // 16)
