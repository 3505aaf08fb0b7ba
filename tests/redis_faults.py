# sleep: faults last for a while, and come at a pace
"""More faults for chaos.py: of Redis, of its data, and of several processes at once.

Each returns when it is over. Those in `LOSING` take published entries away: all readers that saw
them, or missed them, must be told.
"""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from eddyline.testing import RedisServer, eventually

if TYPE_CHECKING:
    from chaos import World

HUB = "eddyline:{events}:"
NAMES = ("meta", "journal", "epochs", "ids", "topics", "lost")

Fault = Callable[["World", float], Awaitable[None]]


async def repeatedly(world: "World", command: str, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await asyncio.to_thread(world.redis.command, command)
        await asyncio.sleep(0.1)


async def kill_all_processes(world: "World", seconds: float) -> None:
    await asyncio.gather(*(process.kill() for process in world.processes))
    await asyncio.gather(*(process.start() for process in world.processes))


async def drain_all_processes(world: "World", seconds: float) -> None:
    await asyncio.gather(*(process.stop() for process in world.processes))
    await asyncio.gather(*(process.start() for process in world.processes))


async def hang_a_process(world: "World", seconds: float) -> None:
    """SIGSTOP: the bus goes on without it."""
    victim = random.choice(world.processes).process
    assert victim is not None
    victim.send_signal(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    victim.send_signal(signal.SIGCONT)


async def cut_the_bus(world: "World", seconds: float) -> None:
    await repeatedly(world, "CLIENT KILL TYPE pubsub", seconds)


async def cut_calls(world: "World", seconds: float) -> None:
    await repeatedly(world, "CLIENT KILL TYPE normal SKIPME yes", seconds)


async def forget_scripts(world: "World", seconds: float) -> None:
    await repeatedly(world, "SCRIPT FLUSH", seconds)


async def pause_clients(world: "World", seconds: float) -> None:
    world.redis.command(f"CLIENT PAUSE {int(seconds * 1000)} ALL")
    await asyncio.sleep(seconds)


async def pause_writes(world: "World", seconds: float) -> None:
    world.redis.command(f"CLIENT PAUSE {int(seconds * 1000)} WRITE")
    await asyncio.sleep(seconds)


async def fill_redis(world: "World", seconds: float) -> None:
    world.redis.command("CONFIG SET maxmemory 1mb")
    await asyncio.sleep(seconds)
    world.redis.command("CONFIG SET maxmemory 0")


async def deny_scripts(world: "World", seconds: float) -> None:
    world.redis.command("ACL SETUSER default -evalsha -eval")
    await asyncio.sleep(seconds)
    world.redis.command("ACL SETUSER default +@all")


async def change_the_password(world: "World", seconds: float) -> None:
    """Connections stay, and new ones are refused until it is changed back."""
    with redis.Redis(port=world.redis.port) as client:
        client.config_set("requirepass", "another")
        await cut_the_bus(world, seconds)
        client.config_set("requirepass", "")


async def shrink_buffers(world: "World", seconds: float) -> None:
    world.redis.command('CONFIG SET client-output-buffer-limit "pubsub 4kb 2kb 1"')
    await asyncio.sleep(seconds)
    world.redis.command('CONFIG SET client-output-buffer-limit "pubsub 32mb 8mb 60"')


async def forge_entries(world: "World", seconds: float) -> None:
    """Entries of another epoch, as a hub of another environment publishes them."""
    with redis.Redis(port=world.redis.port) as client:
        for number in range(int(seconds * 10)):
            head = client.hget(HUB + "meta", "sequence") or b"0"
            record = b'[["a"],false,true,null,0]\ndata: {"topic":"a","n":%d}\n\n' % -number
            message = b"0000ffff %d 1\n" % (int(head) + 1)
            message += len(record).to_bytes(4, "big") + record
            for bus in ("bus@0", "bus@1", "bus"):
                client.publish(HUB + bus, message)
            await asyncio.sleep(0.1)


async def be_a_replica_of_an_older_copy(world: "World", seconds: float) -> None:
    """The primary comes back with older data, under the same run id and on open connections."""
    folder = Path(world.folder / f"replica-{time.monotonic_ns()}")
    folder.mkdir()
    primary = world.redis
    source = ("--replicaof", "127.0.0.1", str(primary.port), "--repl-diskless-sync-delay", "0")
    primary.command("CONFIG SET repl-diskless-sync-delay 0")
    replica = RedisServer(folder, *source)
    await asyncio.to_thread(replica.start)
    try:
        await eventually(lambda: b"master_link_status:up" in replica.command("INFO replication"))
        replica.command("REPLICAOF NO ONE")
        await asyncio.sleep(seconds / 2)
        primary.command(f"REPLICAOF 127.0.0.1 {replica.port}")
        await eventually(lambda: b"master_link_status:up" in primary.command("INFO replication"))
        primary.command("REPLICAOF NO ONE")
    finally:
        await asyncio.to_thread(replica.stop, signal.SIGKILL)


async def restore_a_backup(world: "World", seconds: float) -> None:
    """Into the running server: neither its run id nor its replication id changes."""
    with redis.Redis(port=world.redis.port) as client:
        kept = {name: client.dump(HUB + name) for name in NAMES}
        await asyncio.sleep(seconds)
        with client.pipeline(transaction=True) as pipeline:
            for name, value in kept.items():
                pipeline.delete(HUB + name)
                if value is not None:
                    pipeline.restore(HUB + name, 0, value)
            pipeline.execute()


async def swap_the_databases(world: "World", seconds: float) -> None:
    world.redis.command("SWAPDB 0 1")
    await asyncio.sleep(seconds)
    world.redis.command("SWAPDB 0 1")


async def delete_the_journal(world: "World", seconds: float) -> None:
    """Its entries alone, as an eviction does."""
    world.redis.command(f"DEL {HUB}journal")


async def delete_what_is_known_of_it(world: "World", seconds: float) -> None:
    world.redis.command(f"DEL {HUB}meta {HUB}epochs {HUB}lost")


LOSING: tuple[Fault, ...] = (
    be_a_replica_of_an_older_copy,
    restore_a_backup,
    swap_the_databases,
    delete_the_journal,
    delete_what_is_known_of_it,
)

MORE: tuple[Fault, ...] = (
    kill_all_processes,
    drain_all_processes,
    hang_a_process,
    cut_the_bus,
    cut_calls,
    forget_scripts,
    pause_clients,
    pause_writes,
    fill_redis,
    deny_scripts,
    change_the_password,
    shrink_buffers,
    forge_entries,
    *LOSING,
)
