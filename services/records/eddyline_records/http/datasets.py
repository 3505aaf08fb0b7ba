"""The datasets that a caller may read."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from eddyline.auth.principal import Principal
from eddyline.errors import NotFound, Unavailable
from eddyline_records.sources.base import Schema, Source


@dataclass(frozen=True, slots=True)
class Datasets:
    by_name: Mapping[str, Source]

    def find(self, caller: Principal, name: str) -> Source:
        """Raises NotFound, and Forbidden before that: a stranger is told no names."""
        caller.require("records", "read", name)
        source = self.by_name.get(name)
        if source is None:
            known = ", ".join(self._readable(caller)) or "none"
            raise NotFound(f"there is no dataset {name[:80]!r}; there are: {known}")
        return source

    async def schemas(self, caller: Principal) -> dict[str, Schema | Unavailable]:
        """Those of all datasets of the caller, or the reason that there is none."""

        async def read(source: Source) -> Schema | Unavailable:
            try:
                return await source.schema()
            except Unavailable as error:
                return error

        names = self._readable(caller)
        found = await asyncio.gather(*(read(self.by_name[name]) for name in names))
        return dict(zip(names, found, strict=True))

    def _readable(self, caller: Principal) -> list[str]:
        return [name for name in self.by_name if caller.allows("records", "read", name)]
