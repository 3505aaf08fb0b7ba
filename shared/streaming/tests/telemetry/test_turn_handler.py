import asyncio
import io
import logging
from select import PIPE_BUF

import pytest

from eddyline.telemetry.turn_handler import TurnHandler


class Recorder(io.StringIO):
    """A stream that keeps each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return super().write(text)


@pytest.fixture
def stream() -> Recorder:
    return Recorder()


@pytest.fixture
def handler(stream: Recorder) -> TurnHandler:
    return TurnHandler(stream)


async def test_lines_of_one_turn_are_one_write(handler: TurnHandler, stream: Recorder) -> None:
    for line in ("a", "b", "c"):
        handler.write_soon(line)
    assert stream.writes == []
    await asyncio.sleep(0)
    assert stream.writes == ["a\nb\nc\n"]
    handler.write_soon("d")
    await asyncio.sleep(0)
    assert stream.writes == ["a\nb\nc\n", "d\n"]


async def test_a_record_is_written_at_once_after_the_lines_before_it(
    handler: TurnHandler, stream: Recorder
) -> None:
    handler.write_soon("a")
    handler.handle(logging.makeLogRecord({"msg": "broken"}))
    assert stream.writes == ["a\nbroken\n"]
    await asyncio.sleep(0)
    assert len(stream.writes) == 1


def test_a_line_is_written_at_once_where_no_loop_runs(
    handler: TurnHandler, stream: Recorder
) -> None:
    handler.write_soon("a")
    assert stream.writes == ["a\n"]


async def test_a_write_holds_whole_lines_and_no_more_than_a_pipe_takes_at_once(
    handler: TurnHandler, stream: Recorder
) -> None:
    lines = ["é" * (number % 40) + str(number) for number in range(400)]
    for line in lines:
        handler.write_soon(line)
    await asyncio.sleep(0)
    assert "".join(stream.writes).splitlines() == lines
    assert 1 < len(stream.writes) < 10
    assert all(text.endswith("\n") for text in stream.writes)
    assert max(len(text.encode()) for text in stream.writes) <= PIPE_BUF


async def test_a_line_longer_than_that_is_written_alone(
    handler: TurnHandler, stream: Recorder
) -> None:
    long = "x" * 2 * PIPE_BUF
    for line in ("a", long, "b"):
        handler.write_soon(line)
    await asyncio.sleep(0)
    assert stream.writes == ["a\n", f"{long}\n", "b\n"]


def test_lines_that_a_loop_left_behind_are_written_by_the_next(
    handler: TurnHandler, stream: Recorder
) -> None:
    async def one() -> None:
        handler.write_soon("next")

    loop = asyncio.new_event_loop()
    loop.call_soon(loop.stop)
    loop.call_soon(handler.write_soon, "left")
    loop.run_forever()
    loop.close()
    assert stream.writes == []
    asyncio.run(one())
    assert stream.writes == ["left\nnext\n"]


@pytest.mark.parametrize("end", ["close", "flush"])
async def test_lines_are_written_before_the_handler_goes(
    handler: TurnHandler, stream: Recorder, end: str
) -> None:
    handler.write_soon("a")
    getattr(handler, end)()
    assert stream.writes == ["a\n"]


async def test_lines_are_written_before_the_stream_is_another_one(
    handler: TurnHandler, stream: Recorder
) -> None:
    handler.write_soon("a")
    handler.setStream(other := Recorder())
    assert (stream.writes, other.writes) == (["a\n"], [])


async def test_a_stream_that_is_closed_fails_nobody(handler: TurnHandler, stream: Recorder) -> None:
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    stream.close()
    handler.write_soon("a")
    await asyncio.sleep(0)
    handler.close()
    assert errors == []
