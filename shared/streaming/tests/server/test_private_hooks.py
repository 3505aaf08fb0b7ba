"""Parts of other packages that the library uses without their promise to keep them.

Each entry names the version in which it was seen, and the loss without it: read that before you
take a new version in.
"""

import ast
import asyncio
import multiprocessing
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import gunicorn.arbiter
import prometheus_client.values
import pytest
import redis.asyncio
import uvicorn
import uvicorn_worker
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

import eddyline
from eddyline.testing import fetch

ROOT = Path(eddyline.__file__).parent
PYTHON = "Python 3.11 to 3.13"


class Hook(NamedTuple):
    owner: Any
    name: str
    seen: str
    file: str
    breaks: str


SERVER = uvicorn.Server(uvicorn.Config("demo:app"))
SELECTOR_TRANSPORT = asyncio.selector_events._SelectorSocketTransport  # type: ignore[attr-defined]

HOOKS = [
    Hook(SERVER, "_serve", "uvicorn 0.54.0", "server/server.py", "no server starts"),
    Hook(
        SERVER,
        "_captured_signals",
        "uvicorn 0.54.0",
        "server/server.py",
        "after a drain the process kills itself by the signal: exit code 143, not 0",
    ),
    Hook(
        HttpToolsProtocol,
        "_start_asgi_task",
        "uvicorn 0.54.0",
        "server/protocol.py",
        "HTTP/1.0 clients get chunks; a file is sent for the request parsed last, not the running",
    ),
    Hook(
        HttpToolsProtocol,
        "_unset_keepalive_if_required",
        "uvicorn 0.54.0",
        "server/protocol.py",
        "no response detaches",
    ),
    Hook(
        HttpToolsProtocol,
        "_unset_keepalive_if_required",
        "uvicorn 0.54.0",
        "server/bounded.py",
        "a connection that was refused is closed before its client has read why",
    ),
    Hook(
        uvicorn_worker.UvicornWorker,
        "_serve",
        "uvicorn-worker 0.4.0",
        "server/worker.py",
        "gunicorn's workers run a server that drains nothing",
    ),
    Hook(
        SELECTOR_TRANSPORT,
        "_sendfile_compatible",
        PYTHON,
        "connection/sendfile.py",
        "files are read and written, without sendfile(2): twice the CPU",
    ),
    Hook(
        multiprocessing.Process(),
        "_kwargs",
        PYTHON,
        "server/stopping.py",
        "streams in a worker of hypercorn are cut off without their last bytes",
    ),
    Hook(
        redis.asyncio.Connection(),
        "_writer",
        "redis 8.1.0",
        "redis/primary.py",
        "a command to a connection that was lost while idle raises TypeError (Python 3.13.5)",
    ),
]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: f"{hook.seen.split()[0]}.{hook.name}")
def test_each_private_attribute_is_still_there(hook: Hook) -> None:
    package = hook.seen.split()[0]
    now = "" if package == "Python" else f"; it is {version(package)} now"
    assert hasattr(hook.owner, hook.name), f"{hook.seen} had {hook.name}{now}: {hook.breaks}"


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: f"{hook.seen.split()[0]}.{hook.name}")
def test_each_private_attribute_is_used_where_the_list_says(hook: Hook) -> None:
    assert hook.name in (ROOT / hook.file).read_text()


def test_no_other_private_attribute_of_others_is_used() -> None:
    listed = {(hook.file, hook.name) for hook in HOOKS}
    found = {
        (str(file.relative_to(ROOT)), name)
        for file in ROOT.rglob("*.py")
        for name in foreign(ast.parse(file.read_text()))
    }
    assert found - listed == set()


#: Public, in spite of their underscore: documentation of collections.namedtuple.
OF_NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}


def foreign(module: ast.Module) -> set[str]:
    """Names with a leading underscore that a module takes from others, and does not make itself."""
    taken, made = set(), set()
    for node in ast.walk(module):
        match node:
            case ast.Attribute(attr=name, ctx=ast.Load()):
                taken.add(name)
            case ast.Attribute(attr=name) | ast.Name(id=name, ctx=ast.Store()):
                made.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                made.add(name)
            case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(name)), *_]):
                taken.add(name)
            case ast.ImportFrom(module=str(origin), names=names):
                taken |= set(private_imports(origin, names))
    taken -= made | OF_NAMED_TUPLES
    return {name for name in taken if name.startswith("_") and not name.endswith("__")}


def private_imports(origin: str, names: list[ast.alias]) -> Iterator[str]:
    if not origin.startswith(("eddyline", "__")):
        yield from (part for part in origin.split(".") if part.startswith("_"))
        yield from (each.name for each in names)


# Public names, of which no documentation speaks.


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (uvicorn.Server, ["serve", "shutdown", "capture_signals", "handle_exit"]),
        (
            HttpToolsProtocol,
            [
                *("on_message_begin", "on_url", "on_header", "on_headers_complete", "on_body"),
                *("on_message_complete", "on_response_complete", "send_400_response"),
                *("data_received", "connection_made", "connection_lost", "shutdown"),
            ],
        ),
        (FlowControl, ["drain", "resume_reading"]),
        (RequestResponseCycle, ["run_asgi", "send"]),
    ],
)
def test_uvicorn_still_has_what_is_relied_on(owner: Any, names: list[str]) -> None:
    for name in names:
        assert callable(getattr(owner, name, None)), f"uvicorn's {owner.__name__} lost {name}"


async def test_uvicorn_still_has_the_attributes_that_are_relied_on(bench_of: Any) -> None:
    async with bench_of() as bench:
        stream = await fetch(bench.url + "/plain")
        state = bench.running.server.server_state
        assert isinstance(state, ServerState)
        (protocol,) = state.connections
        for name in ("transport", "flow", "cycle", "scope", "parser", "pipeline", "connections"):
            assert hasattr(protocol, name), f"uvicorn's protocol lost {name}"
        cycle = protocol.cycle
        for name in (
            *("disconnected", "more_body", "chunked_encoding", "expected_content_length"),
            *("message_event", "response_started", "response_complete", "keep_alive"),
        ):
            assert hasattr(cycle, name), f"uvicorn's cycle lost {name}"
        assert hasattr(protocol.flow, "write_paused")
        await stream.close()


def test_uvicorn_still_kills_itself_by_the_signals_that_it_caught() -> None:
    source = Path(str(uvicorn.server.__file__)).read_text()
    assert "self._captured_signals" in source
    assert "signal.raise_signal(captured_signal)" in source


def test_gunicorn_still_has_what_its_hooks_are_given() -> None:
    """server/gunicorn.py: without it workers would share slots, and their counters (27.0.1)."""
    source = Path(str(gunicorn.arbiter.__file__)).read_text()
    for line in ("self.cfg.pre_fork(self, worker)", "self.WORKERS[pid] = worker", "self.pid ="):
        assert line in source
    assert source.index("self.WORKERS.pop(wpid") < source.index("self.cfg.child_exit(self, worker)")


def test_prometheus_client_still_counts_in_files_that_a_slot_names(tmp_path: Path) -> None:
    """telemetry/workers.py: without it counters begin anew with each worker (0.26.0)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
        value = prometheus_client.values.MultiProcessValue(process_identifier=lambda: "7-0")
        value("counter", "a", "a_total", (), (), "A").inc(3)
    assert hasattr(prometheus_client.values, "ValueClass")
    (file,) = tmp_path.iterdir()
    assert file.name == "counter_7-0.db"
    ((key, counted, *_),) = MmapedDict.read_all_values_from_file(str(file))
    assert (key[0], counted) == ("[", 3)
    (metric,) = MultiProcessCollector.merge([str(file)])
    assert metric.samples[0].value == 3
