"""Files to try the service with, made at the first start."""

import os
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

#: Bytes of `huge.bin`. It is sparse: it takes no room on the disk.
HUGE = 10 * 1024**3

#: When all of them were written (nanoseconds), or so they say: every replica gives them the same
#: date.
MODIFIED = 1_767_225_600 * 10**9  # 2026-01-01


def make_files(folder: Path) -> None:
    """Makes the files that are missing; a file that is there is never touched.

    Several processes may do so at once: they make the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in _FILES.items():
        if not (folder / name).exists():
            _make(folder / name, write)


def _make(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes under another name at first: no reader ever sees a part of the file."""
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        try:
            write(file.file)
            file.flush()
            os.utime(file.fileno(), ns=(MODIFIED, MODIFIED))
            os.fchmod(file.fileno(), 0o644)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def pdf(text: str) -> bytes:
    """The smallest valid PDF of one page (ISO 32000-1, 7.5): objects, their offsets, a trailer."""
    drawing = b"BT /F1 24 Tf 72 720 Td (%b) Tj ET" % text.encode("ascii")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(drawing), drawing),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return (
        bytes(out)
        + b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n" % (size, table)
        + (b"<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(out)))
    )


def png(width: int, height: int) -> bytes:
    """A gradient in grey (RFC 2083)."""
    rows = b"".join(
        b"\0" + bytes((x + y) * 255 // (width + height) for x in range(width))
        for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _text(file: IO[bytes]) -> object:
    return file.write(b"Eddyline: no stream ever loses its place.\n" * 100)


def _csv(file: IO[bytes]) -> None:
    file.write(b"id,name\n")
    for start in range(0, 100_000, 1000):
        file.write(b"".join(b"%d,User %d\n" % (i, i) for i in range(start, start + 1000)))


_FILES: dict[str, Callable[[IO[bytes]], object]] = {
    "file.pdf": lambda file: file.write(pdf("Eddyline streams this file.")),
    "readme.txt": _text,
    "users.csv": _csv,
    "gradient.png": lambda file: file.write(png(256, 256)),
    "huge.bin": lambda file: file.truncate(HUGE),
}
