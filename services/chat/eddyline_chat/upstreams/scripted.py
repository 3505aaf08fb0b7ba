"""The upstream that follows a script: for tests."""

import asyncio

from eddyline.errors import StreamingError
from eddyline_chat.openai.chunk import written
from eddyline_chat.upstreams.base import Question, Receiver


class Scripted:
    """Answers every question with `tokens`, and then with the end of the answer, or `error`.

    `questions` are those that were asked.
    """

    def __init__(self, *tokens: str, error: StreamingError | None = None) -> None:
        self.questions: list[Question] = []
        self._tokens = tokens
        self._error = error

    def ask(self, question: Question, receiver: Receiver) -> "Reciting":
        self.questions.append(question)
        return Reciting(self._tokens, self._error, receiver)


class Reciting:
    """One answer of a script, a token in each turn of the event loop."""

    def __init__(
        self, tokens: tuple[str, ...], error: StreamingError | None, receiver: Receiver
    ) -> None:
        self._left = list(tokens)
        self._error = error
        self._receiver = receiver
        self._paused = False
        self._turn = asyncio.get_running_loop().call_soon(self._go_on)

    def pause(self) -> None:
        self._paused = True
        self._turn.cancel()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._turn = asyncio.get_running_loop().call_soon(self._go_on)

    def close(self) -> None:
        self._turn.cancel()

    def _go_on(self) -> None:
        if self._left:
            self._turn = asyncio.get_running_loop().call_soon(self._go_on)
            choice = {"index": 0, "delta": {"content": self._left.pop(0)}, "finish_reason": None}
            self._receiver.on_chunks([written({"choices": [choice]})])
            return
        if self._error is not None:
            self._receiver.on_end(self._error)
            return
        choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
        self._receiver.on_end(None, [written({"choices": [choice]})])
