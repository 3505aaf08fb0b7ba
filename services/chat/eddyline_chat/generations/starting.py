"""The beginning of an answer that is read from its log alone."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from eddyline.errors import StreamingError
from eddyline_chat.generations.generation import Generation
from eddyline_chat.openai.chunk import Chunk


class Starting:
    """A receiver that waits for the first chunk: until then an error has its status."""

    def __init__(self, made: Generation) -> None:
        self._made = made
        self._begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_chunks(self, chunks: Sequence[Chunk]) -> None:
        if not self._begun.done():
            self._begun.set_result(None)

    def on_end(self, error: StreamingError | None, chunks: Sequence[Chunk] = ()) -> None:
        if self._begun.done():
            return
        if error is None or chunks:
            self._begun.set_result(None)
        else:
            self._begun.set_exception(error)
            self._begun.exception()  # seen: nobody may wait for it

    async def wait(self, seconds: float) -> None:
        """Returns at the first chunk, or after `seconds`. Raises the error of an answer without
        one. A caller that is cancelled has left.
        """
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await asyncio.shield(self._begun)
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """The client has left, or has all."""
        self._made.close()
