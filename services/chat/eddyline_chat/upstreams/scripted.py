"""The upstream that follows a script: for tests."""

from collections.abc import AsyncGenerator, Sequence

from eddyline_chat.upstreams.base import Message


class Scripted:
    """Answers every question with `tokens`, and then with the end of the answer, or `error`.

    `questions` are those that were asked.
    """

    def __init__(self, *tokens: str, error: Exception | None = None) -> None:
        self.questions: list[list[Message]] = []
        self._tokens = tokens
        self._error = error

    async def complete(self, messages: Sequence[Message]) -> AsyncGenerator[str, None]:
        self.questions.append(list(messages))
        for token in self._tokens:
            yield token
        if self._error is not None:
            raise self._error
