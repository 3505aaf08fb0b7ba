"""Sources by name, as LOGS_SOURCES lists them. A client never names a path.

An item of `LOGS_SOURCES` is one of
- `directory`: its files, each named by its path in it (`app.log`);
- `name=path`: one file, named `name`; or a directory, its files named `name/app.log`;
- `name=glob`: the files that match, named `name/` and their path below the glob's fixed part;
- `name=cri:directory`: the containers of a node's pods, named `name/namespace/pod/container`.
"""

import re
from collections.abc import Callable
from typing import Self

from eddyline.errors import NotFound
from eddyline_logs.sources.base import Item, Source, unknown
from eddyline_logs.sources.files import Files
from eddyline_logs.sources.pods import Pods

#: Makes an item of its text, its name, and the rest of the text after name and kind. Raises
#: ValueError.
Parse = Callable[[str, str, str], Item]

#: Items by the kind that stands before their path, as in `name=cri:directory`; without a kind they
#: are files. Another kind is one more line here.
KINDS: dict[str, Parse] = {
    "cri": Pods.parse,
}

_NAME = re.compile(r"[A-Za-z0-9._-]+\Z")

#: Files that a listing looks at.
_LISTED = 10_000


class Sources:
    """All items. Where two have files of one name, named items come before bare directories."""

    def __init__(self, items: list[Item]) -> None:
        self._items = sorted(items, key=lambda item: not item.name)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError that names the item."""
        items = [_item(item) for part in text.split(",") if (item := part.strip())]
        if not items:
            raise ValueError("expected at least one directory, name=path or name=glob")
        return cls(items)

    def find(self, id: str) -> Source:
        """The source of that name, whether or not its file is there yet; NotFound where it can be
        none.
        """
        if "\0" in id or any(part in ("", ".", "..") for part in id.split("/")):
            raise unknown(id)
        found = [source for item in self._items if (source := item.find(id)) is not None]
        if not found:
            raise unknown(id)
        return next((source for source in found if source.taken()), found[0])

    def list(self) -> list[Source]:
        """The files that are there. Walks directories: call it in a thread."""
        ids = dict.fromkeys(id for item in self._items for id in item.list() if id.isprintable())
        found = (self.find(id) for id in list(ids)[:_LISTED])
        return [source for source in found if _served(source)]


def _served(source: Source) -> bool:
    try:
        return source.exists()
    except NotFound:
        return False


def _item(text: str) -> Item:
    name, equals, path = text.partition("=")
    if not equals:
        name, path = "", text
    elif not _NAME.match(name):
        raise ValueError(f"{name!r} is not a name: expected letters, digits, `.`, `_`, `-`")
    kind, colon, rest = path.partition(":")
    parse = KINDS.get(kind) if colon else None
    parse, path = (Files.parse, path) if parse is None else (parse, rest)
    if not path:
        raise ValueError(f"{text!r} names no path")
    return parse(text, name, path)
