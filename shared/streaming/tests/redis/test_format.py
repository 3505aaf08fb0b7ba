"""The format of a hub's keys: written at first use, checked at each start and by each call."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from eddyline.errors import UnknownFormat
from eddyline.hub import Hub
from eddyline.journal.base import NewEntry
from eddyline.redis.journal import RedisJournal
from eddyline.testing import RedisServer

COMPLAINT = r"eddyline:\{NAME\}: in Redis has format 3, and this version knows formats up to 2"

#: The fields that a hub had before there were formats.
BEFORE = {"epoch": "4f1d09c2", "run_id": "r", "sequence": 0, "first": 1, "bytes": 0, "oldest": 0}


@pytest.fixture
def name() -> str:
    return secrets.token_hex(4)


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url, decode_responses=True)


def meta(name: str) -> str:
    return f"eddyline:{{{name}}}:meta"


async def test_a_hub_writes_its_format_at_first_use(
    redis_url: str, name: str, client: redis.Redis
) -> None:
    async with RedisJournal(redis_url, name):
        assert client.hget(meta(name), "format") == "1"
    async with RedisJournal(redis_url, name) as again:
        await again.append([NewEntry("t", "known")])


async def test_a_hub_of_before_there_were_formats_goes_on(
    redis_url: str, name: str, client: redis.Redis
) -> None:
    run_id = client.info("server")["run_id"]
    client.hset(meta(name), mapping=BEFORE | {"run_id": run_id})
    async with RedisJournal(redis_url, name) as journal:
        [receipt] = await journal.append([NewEntry("t", "next")])
    assert str(receipt.cursor) == "4f1d09c2.1"


@pytest.mark.parametrize("fields", [{"format": 3}, BEFORE | {"format": 3}], ids=["bare", "filled"])
async def test_a_later_format_ends_the_start_and_is_left_alone(
    redis_url: str, name: str, client: redis.Redis, fields: dict[str, str | int]
) -> None:
    client.hset(meta(name), mapping=fields)
    before = client.hgetall(meta(name))
    with pytest.raises(UnknownFormat, match=COMPLAINT.replace("NAME", name)):
        async with RedisJournal(redis_url, name):
            pass
    hub = Hub(redis_url, name=name)
    with pytest.raises(UnknownFormat, match=COMPLAINT.replace("NAME", name)):
        async with hub.lifespan():
            pass
    assert client.hgetall(meta(name)) == before


async def test_a_format_that_is_no_number_is_unknown(
    redis_url: str, name: str, client: redis.Redis
) -> None:
    client.hset(meta(name), "format", "1b")
    with pytest.raises(UnknownFormat, match="has format 1b"):
        async with RedisJournal(redis_url, name):
            pass


async def test_a_running_process_writes_nothing_into_keys_that_were_converted(
    redis_url: str, name: str, client: redis.Redis
) -> None:
    async with RedisJournal(redis_url, name) as journal:
        await journal.append([NewEntry("t", "before")])
        client.hset(meta(name), "format", 3)
        for call in (journal.append([NewEntry("t", "after")]), journal.read(None, 10)):
            with pytest.raises(UnknownFormat, match="has format 3"):
                await call
    assert client.xlen(f"eddyline:{{{name}}}:journal") == 1


SERVE = ["eddyline", "serve", "eddyline_events.app:app"]
COMMANDS = {
    "process": SERVE,
    "gunicorn": [*SERVE, "--workers", "1"],
    "laptop": ["eddyline_standalone"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_the_service_refuses_to_start_and_says_both_formats(
    tmp_path: Path, command: list[str]
) -> None:
    with RedisServer(tmp_path) as server:
        server.command("HSET eddyline:{events}:meta format 3")
        ended = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=tmp_path,
            env=os.environ | {"EVENTS_REDIS_URL": server.url, "EDDYLINE_PORT": "0"},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert ended.returncode == 3, ended.stderr
    complaint = "it can't start: the journal eddyline:{events}: in Redis has format 3, and this"
    assert f'"{complaint} version knows formats up to 2' in ended.stdout + ended.stderr
    assert "Ctrl-C" not in ended.stdout, "a banner, of a server that is not there"
