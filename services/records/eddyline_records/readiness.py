"""Whether the datasets can be served as they are declared."""

import asyncio
import logging
from collections.abc import Mapping

from eddyline.errors import Unavailable
from eddyline_records.sources.base import Misconfigured, Source

#: Seconds between two looks at the datasets that cannot be served.
INTERVAL = 5.0

_log = logging.getLogger("eddyline.records")


class Readiness:
    """The faults of a configuration, from the start until they are mended.

    A dataset that is away, or that fails later, costs its own clients alone: a process that is not
    ready would cost those of all others.
    """

    def __init__(self, datasets: Mapping[str, Source]) -> None:
        self._datasets = datasets
        self._faults: dict[str, str] = {}

    def fault(self) -> str | None:
        return "; ".join(self._faults.values()) or None

    async def check(self) -> None:
        """Looks at all datasets, at the start."""
        await asyncio.gather(*map(self._look, self._datasets))

    async def watch(self) -> None:
        """Looks again at the datasets that were found unfit."""
        while self._faults:
            await asyncio.sleep(INTERVAL)
            await asyncio.gather(*map(self._look, list(self._faults)))

    async def _look(self, name: str) -> None:
        try:
            await self._datasets[name].schema()
        except Misconfigured as error:
            self._faults[name] = error.detail
        except Unavailable as error:
            _log.warning("it cannot be read at the start: %s", error.detail)
            self._faults.pop(name, None)
        else:
            self._faults.pop(name, None)
