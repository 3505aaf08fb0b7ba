"""Files that were compressed before, beside the file that they stand for."""

import os
from io import FileIO
from typing import Final

from eddyline.errors import NotFound
from eddyline_downloads.stores.base import Store

#: Content codings (RFC 9110 §8.4.1, RFC 7932, RFC 8878), the smallest results first, and the ends
#: of the names of such files.
CODINGS: Final = {"zstd": ".zst", "br": ".br", "gzip": ".gz"}


async def open_coded(store: Store, path: str, accept: str) -> tuple[FileIO, str | None]:
    """The file at `path`, or one beside it in a coding that `accept` takes, and the coding.

    A compressed file that is older than the other one is of an older version of that, and is left
    alone. Raises as `Store.open`.
    """
    file = await store.open(path)
    try:
        for coding in accepted(accept):
            coded = await _newer(store, path + CODINGS[coding], file)
            if coded is not None:
                file.close()
                return coded, coding
    except BaseException:
        file.close()
        raise
    return file, None


async def _newer(store: Store, path: str, than: FileIO) -> FileIO | None:
    try:
        found = await store.open(path)
    except NotFound:
        return None
    if os.fstat(found.fileno()).st_mtime_ns >= os.fstat(than.fileno()).st_mtime_ns:
        return found
    found.close()
    return None


def accepted(header: str) -> list[str]:
    """The codings that an `Accept-Encoding` takes (RFC 9110 §12.5.3), the best one first. Those are
    left out that it takes less gladly than the file as it is.
    """
    weights: dict[str, float] = {}
    for element in header.lower().split(","):
        name, *parameters = (part.strip() for part in element.split(";"))
        weights[name] = _weight(parameters)
    rest = weights.get("*", 0.0)
    least = weights.get("identity", 0.0)
    found = [(weights.get(coding, rest), coding) for coding in CODINGS]
    taken = [(weight, coding) for weight, coding in found if weight > 0 and weight >= least]
    return [coding for _, coding in sorted(taken, key=lambda each: -each[0])]


def _weight(parameters: list[str]) -> float:
    given = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
    try:
        weight = float(given)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0
