"""The ends of links before their time: revoked, or used as often as they may be."""

from eddyline.errors import BadRequest, Gone
from eddyline.journal.state import State
from eddyline_downloads.links.link import LONGEST, Link


class Uses:
    """Shared by all processes, in Redis. Without it no link can be revoked or counted."""

    def __init__(self, state: State | None) -> None:
        self._state = state

    def require(self, what: str) -> None:
        """Raises BadRequest where there is no state."""
        if self._state is None:
            raise BadRequest(f"{what} needs DOWNLOADS_REDIS_URL, which all processes share")

    async def revoke(self, id: str) -> None:
        """Raises BadRequest without a state, and Unavailable while that is away."""
        self.require("a link that can be revoked")
        assert self._state is not None
        await self._state.put_once(f"revoked:{id}", b"1", LONGEST)

    async def check(self, link: Link, *, counts: bool) -> None:
        """Raises Gone for a link that is revoked or used up; `counts`: this is one more use.

        Raises Unavailable while the state is away: nobody knows then whether it is good.
        """
        if self._state is None:
            return
        if await self._state.pop(f"revoked:{link.id}", leave=True) is not None:
            raise Gone("this link was revoked")
        if link.downloads is not None and counts:
            # A debt that no time of the link's life pays off: the charges are a counter.
            use = float(2 * LONGEST)
            if await self._state.charge(f"uses:{link.id}", use, use * (link.downloads - 1)):
                raise Gone(f"this link was good for {link.downloads} downloads")
