"""The event servers that are compared: ours, the floor, and the rivals."""

import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

from bench.servers import (
    REDIS,
    Command,
    EventServer,
    ours,
    output_of,
    packages,
    redis_version,
    uvicorn,
)
from bench.tools import HERE, build, request

NGINX = Path("/usr/sbin/nginx")
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
KEY = "a-key-for-the-length-of-one-measurement-on-loopback"
ISSUER, AUDIENCE = "https://bench.example", "https://bench.example/.well-known/mercure"
SSE = ("Accept: text/event-stream",)
JSON = ("Content-Type: application/json",)


def _json_event(data: str) -> str:
    return request("POST /events", JSON, json.dumps({"topic": "bench", "data": data}))


def config(name: str, **values: object) -> Command:
    """A command that nginx runs by: the template of this package, filled in."""

    def command(port: int, folder: Path) -> list[str]:
        text = (HERE / name).read_text()
        for key, value in {**values, "port": port, "folder": folder}.items():
            text = text.replace(f"@{key}@", str(value))
        (folder / "nginx.conf").write_text(text)
        return [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf")]

    return command


def nginx_missing(*files: Path) -> Callable[[], str | None]:
    return lambda: next((f"{f} is not there" for f in (NGINX, *files) if not f.exists()), None)


def program_of(variable: str, name: str) -> str:
    return os.environ.get(variable) or shutil.which(name) or ""


def not_found(variable: str, name: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        program = program_of(variable, name)
        if not program:
            return f"no {name} on the path, {variable} is not set"
        return None if os.access(program, os.X_OK) else f"{variable}={program} cannot be run"

    return missing


def _sign(header: dict[str, object], claims: dict[str, object]) -> str:
    """A JWT signed with HS256 (RFC 7515)."""

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    text = ".".join(part(json.dumps(v).encode()) for v in (header, claims))
    return f"{text}.{part(hmac.digest(KEY.encode(), text.encode(), hashlib.sha256))}"


def _mercure(port: int, folder: Path) -> list[str]:
    text = (HERE / "mercure.caddyfile").read_text()
    for key, value in {"port": port, "folder": folder, "key": KEY, "issuer": ISSUER}.items():
        text = text.replace(f"@{key}@", str(value))
    (folder / "Caddyfile").write_text(text.replace("@audience@", AUDIENCE))
    program, file = program_of("MERCURE", "mercure"), str(folder / "Caddyfile")
    return [program, "run", "--adapter", "caddyfile", "--config", file]


def _mercure_version() -> str:
    """Its own command tells Caddy's version; the module's is the hub's."""
    listed = output_of(program_of("MERCURE", "mercure"), "list-modules", "--versions")
    found = re.search(r"^http\.handlers\.mercure (\S+)", listed, re.MULTILINE)
    return f"Mercure {found[1] if found else 'of unknown version'}"


def _mercure_event(data: str) -> str:
    grant = {
        "type": "https://mercure.rocks/authorization-detail",
        "actions": ["publish"],
        "topics": [{"match": "*"}],
    }
    claims: dict[str, object] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "bench",
        "client_id": "bench",
    }
    claims |= {"iat": 1, "exp": 1 << 33, "jti": "bench", "authorization_details": [grant]}
    token = _sign({"alg": "HS256", "typ": "at+jwt"}, claims)
    headers = (f"Authorization: Bearer {token}", "Content-Type: application/x-www-form-urlencoded")
    return request(
        "POST /.well-known/mercure", headers, urlencode({"topic": "bench", "data": data})
    )


def _centrifugo(port: int, folder: Path) -> list[str]:
    text = (HERE / "centrifugo.json").read_text().replace("@key@", KEY)
    (folder / "config.json").write_text(text.replace('"@port@"', str(port)))
    return [program_of("CENTRIFUGO", "centrifugo"), "--config", str(folder / "config.json")]


def _centrifugo_event(data: str) -> str:
    body = json.dumps({"channel": "bench", "data": {"text": data}})
    return request("POST /api/publish", (*JSON, f"X-API-Key: {KEY}"), body)


def _json_lines(data: str, count: int) -> str:
    line = json.dumps({"topic": "bench", "data": data}) + "\n"
    return request("POST /events", ("Content-Type: application/x-ndjson",), line * count)


def _centrifugo_batch(data: str, count: int) -> str:
    command = {"publish": {"channel": "bench", "data": {"text": data}}}
    body = json.dumps({"commands": [command] * count})
    return request("POST /api/batch", (*JSON, f"X-API-Key: {KEY}"), body)


def _pushpin(port: int, folder: Path) -> list[str]:
    text = (HERE / "pushpin.conf").read_text()
    for key, value in {"port": port, "control": port + 1, "folder": folder}.items():
        text = text.replace(f"@{key}@", str(value))
    (folder / "pushpin.conf").write_text(text)
    (folder / "routes").write_text(f"* 127.0.0.1:{port + 2}\n")
    command = [sys.executable, "-m", "bench.rivals_pushpin", str(port + 2)]
    return [*command, f"--config={folder / 'pushpin.conf'}", "--merge-output"]


def _pushpin_batch(data: str, count: int) -> str:
    event = {"channel": "bench", "formats": {"http-stream": {"content": f"data: {data}\n\n"}}}
    return request("POST /publish/", JSON, json.dumps({"items": [event] * count}))


def _floor(work: Path) -> EventServer:
    return EventServer(
        name="floor",
        command=lambda port, _: [str(build("floor", work).resolve()), str(port)],
        version=lambda: "a plain C loop of send(2), bench/bench/floor.c",
        subscribe=request("GET /events", SSE),
        publish=_json_event,
    )


OURS = EventServer(
    name="ours",
    command=ours("eddyline_events.app:app"),
    version=packages("eddyline-events", "eddyline", "uvicorn"),
    environment={
        "EDDYLINE_AUTH": "off",
        "EDDYLINE_LIMIT_STREAMS": "0",
        "EDDYLINE_LIMIT_STREAMS_PER_ADDRESS": "0",
    },
    subscribe=request("GET /events?topic=bench", SSE),
    publish=_json_event,
    batch=_json_lines,
    batch_kind="NDJSON lines",
)
OURS_ON_REDIS = replace(
    OURS,
    name="ours, Redis",
    version=lambda: f"{OURS.version()}, {redis_version()}",
    how_to_get="apt-get install redis-server",
    missing=lambda: None if shutil.which(REDIS) else f"no {REDIS} on the path",
    redis=True,
)
NCHAN_SERVER = EventServer(
    name="nchan",
    command=config("nchan.conf", module=NCHAN),
    version=lambda: "nchan " + output_of("dpkg-query", "-Wf", "${Version}", "libnginx-mod-nchan"),
    how_to_get="apt-get install nginx-light libnginx-mod-nchan",
    missing=nginx_missing(NCHAN),
    subscribe=request("GET /subscribe", SSE),
    publish=lambda data: request("POST /publish", ("Content-Type: text/plain",), data),
)
MERCURE = EventServer(
    name="mercure",
    command=_mercure,
    version=_mercure_version,
    how_to_get="https://mercure.rocks, 1.0 or later, on the path or MERCURE=/path/to/mercure",
    missing=not_found("MERCURE", "mercure"),
    subscribe=request("GET /.well-known/mercure?match=bench", SSE),
    publish=_mercure_event,
)
CENTRIFUGO = EventServer(
    name="centrifugo",
    command=_centrifugo,
    version=lambda: output_of(program_of("CENTRIFUGO", "centrifugo"), "version"),
    how_to_get="https://centrifugal.dev, 6 or later, on the path or CENTRIFUGO=/path/to/centrifugo",
    missing=not_found("CENTRIFUGO", "centrifugo"),
    subscribe=request(
        "GET /connection/uni_sse?" + urlencode({"cf_connect": '{"subs":{"bench":{}}}'}), SSE
    ),
    publish=_centrifugo_event,
    batch=_centrifugo_batch,
    batch_kind="commands of /api/batch",
)
PUSHPIN = EventServer(
    name="pushpin",
    command=_pushpin,
    version=lambda: output_of("pushpin", "--version"),
    how_to_get="apt-get install pushpin",
    missing=lambda: None if shutil.which("pushpin") else "no pushpin on the path",
    subscribe=request("GET /events", SSE),
    publish=lambda data: _pushpin_batch(data, 1),
    publish_port=1,
    opening=16,  # with more it answers 502 to some
    batch=_pushpin_batch,
    batch_kind="items of /publish/",
    barred=False,
)
FASTAPI = EventServer(
    name="fastapi",
    command=uvicorn("bench.rivals_fastapi:app"),
    version=packages("fastapi", "uvicorn"),
    subscribe=request("GET /events", SSE),
    publish=_json_event,
    barred=False,
)
SSE_STARLETTE = EventServer(
    name="sse-starlette",
    command=uvicorn("bench.rivals_sse_starlette:app"),
    version=packages("sse-starlette", "uvicorn"),
    subscribe=request("GET /events", SSE),
    publish=_json_event,
    barred=False,
)


def event_servers(work: Path) -> Sequence[EventServer]:
    """All of them, in the order of the tables; `work` is where the floor is built."""
    return (
        *(OURS, OURS_ON_REDIS, _floor(work), NCHAN_SERVER, MERCURE, CENTRIFUGO, PUSHPIN),
        *(FASTAPI, SSE_STARLETTE),
    )
