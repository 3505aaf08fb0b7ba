"""Each stream can be followed in the log: its request's line and its end's have one id."""

import asyncio
import json
import re
import signal
from contextlib import suppress
from typing import Any

import pytest

from eddyline.testing import eventually

INFO = {"EDDYLINE_LOG_LEVEL": "info", "EDDYLINE_DRAIN_WINDOW": "0.2"}


def lines(served: Any, message: str) -> dict[str, dict[str, Any]]:
    """Those of the log with a message, by their request's id."""
    texts = [text for text in served.output().splitlines() if text.startswith("{")]
    found = [line for line in map(json.loads, texts) if line["message"] == message]
    return {line["request_id"]: line for line in found}


@pytest.mark.parametrize(
    ("path", "service", "kind", "size"),
    [
        ("/download/huge.bin", "downloads", "file", True),
        ("/records/users?limit=3000", "records", "pull", True),
        ("/events?topic=a", "events", "broadcast", False),
    ],
)
async def test_the_end_of_a_stream_has_the_id_of_its_request(  # type: ignore[no-untyped-def]
    launch, get, path: str, service: str, kind: str, size: bool
) -> None:
    with launch("eddyline_standalone", **INFO) as served:
        headers = {"X-Request-ID": "of-the-gateway", "Range": "bytes=0-199999"}
        stream = await get(served.url + path, headers=headers)
        body = b""
        if kind == "broadcast":
            stream.reset()
        else:
            body = await stream.body()
        await eventually(lambda: lines(served, "stream ended"))
        end = lines(served, "stream ended")["of-the-gateway"]
        assert lines(served, "request")["of-the-gateway"]["path"] == path.partition("?")[0]
        assert (end["service"], end["kind"], end["logger"]) == (service, kind, "eddyline.stream")
        assert end["reason"] == ("client_closed" if kind == "broadcast" else "complete")
        assert 0 <= end["seconds"] < 60
        assert end.get("bytes") == (len(body) if size else None)


async def test_a_drain_logs_each_of_its_streams_once(launch, get) -> None:  # type: ignore[no-untyped-def]
    with launch("eddyline_standalone", **INFO) as served:
        ids = []
        for _ in range(50):
            stream = await get(served.url + "/events?topic=a")
            ids.append(stream.headers["x-request-id"])
            assert re.fullmatch("[0-9a-f]{14}", ids[-1])
        assert served.end() == 0
        ends = lines(served, "stream ended")
        assert sorted(ends) == sorted(ids)
        assert served.output().count("stream ended") == 50
        assert {end["reason"] for end in ends.values()} == {"drain"}


@pytest.mark.parametrize("workers", [[], ["--workers", "2"]], ids=["alone", "gunicorn"])
async def test_each_request_that_was_answered_is_in_the_log_after_sigterm(  # type: ignore[no-untyped-def]
    launch, get, workers: list[str]
) -> None:
    module = (
        ("eddyline_standalone.serve", "logs", *workers) if workers else ("eddyline_standalone",)
    )
    with launch(*module, **INFO) as served:
        answered = []

        async def ask() -> None:
            with suppress(ConnectionError, EOFError):
                while True:
                    answer = await get(served.url + "/logs", headers={"Connection": "close"})
                    answered.append(answer.headers["x-request-id"])

        asking = [asyncio.create_task(ask()) for _ in range(8)]
        await eventually(lambda: len(answered) > 40)
        served.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*asking)
        assert await asyncio.to_thread(served.process.wait, 30) == 0
        assert set(answered) <= set(lines(served, "request"))


async def test_a_process_that_is_killed_has_logged_all_but_its_last_turn(launch, get) -> None:  # type: ignore[no-untyped-def]
    with launch("eddyline_standalone", **INFO) as served:
        ids = []
        for _ in range(20):
            answer = await get(served.url + "/logs")
            await answer.body()
            ids.append(answer.headers["x-request-id"])
        served.process.kill()
        served.process.wait(30)
        assert set(ids[:-1]) <= set(lines(served, "request"))


async def test_without_informative_lines_no_id_is_kept(launch, get) -> None:  # type: ignore[no-untyped-def]
    with launch("eddyline_standalone", EDDYLINE_LOG_LEVEL="warning") as served:
        await (await get(served.url + "/download/file.pdf")).body()
        assert served.end() == 0
        assert "stream ended" not in served.output()
