"""The suite behind a real nginx, set as docs/operate/proxies.md says, word for word."""

import asyncio
import random
import re
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
import trustme

from eddyline.testing import PATIENCE, Stream, fetch, free_port, request_bytes, wait_until

ROOT = Path(__file__).parents[1]
SSE = {"Accept": "text/event-stream"}
LINES = {"Accept": "application/x-ndjson"}

#: More than any buffer on the way.
BODY = random.Random(5).randbytes(32 * 1024 * 1024)

pytestmark = pytest.mark.xdist_group("nginx")


@dataclass
class Behind:
    url: str
    tls: ssl.SSLContext
    log: Path

    async def fetch(self, path: str, **options: Any) -> Stream:
        return await fetch(self.url + path, tls=self.tls, **options)


def configuration(folder: Path, port: int, upstream: int) -> str:
    """The document's text, but for its addresses and files, in a whole configuration."""
    text = (ROOT / "docs" / "operate" / "proxies.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"^```nginx\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for written, here in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("server 127.0.0.1:8000", f"server 127.0.0.1:{upstream}"),
        ("/etc/nginx/streams.", f"{folder}/streams."),
    ):
        assert written in snippet
        snippet = snippet.replace(written, here)
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"user root; daemon off; pid {folder}/pid; error_log {folder}/errors warn;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary}\n{snippet} }}"
    )


@pytest.fixture(scope="module")
def nginx(tool, tmp_path_factory) -> Iterator[Callable[[int], Behind]]:  # type: ignore[no-untyped-def]
    """Runs one before the server on a port."""
    program = tool("nginx", "/usr/sbin/nginx")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with ExitStack() as stack:

        def start(upstream: int) -> Behind:
            folder, port = tmp_path_factory.mktemp("nginx"), free_port()
            certificate.private_key_pem.write_to_path(folder / "streams.key")
            certificate.cert_chain_pems[0].write_to_path(folder / "streams.crt")
            file, log = folder / "nginx.conf", folder / "errors"
            file.write_text(configuration(folder, port, upstream))
            process = stack.enter_context(
                subprocess.Popen([program, "-c", file, "-e", log], stderr=subprocess.DEVNULL)
            )
            stack.callback(process.terminate)
            wait_until_it_listens(process, port, log)
            return Behind(f"https://127.0.0.1:{port}", trust, log)

        yield start


@pytest.fixture(scope="module")
def behind(nginx, launch, tmp_path_factory) -> Iterator[Behind]:  # type: ignore[no-untyped-def]
    files = tmp_path_factory.mktemp("files")
    (files / "large").write_bytes(BODY)
    variables = {"DOWNLOADS_STORE": f"file://{files}", "EDDYLINE_LIMIT_STREAMS_PER_ADDRESS": "2"}
    with launch("eddyline_standalone", **variables) as suite:
        yield nginx(suite.port)


def wait_until_it_listens(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(lambda: listens() or process.poll() is not None)
    assert process.poll() is None, f"nginx did not start: {log.read_text()}"


async def test_an_event_passes_at_once(behind: Behind) -> None:
    stream = await behind.fetch("/events?topic=nginx", headers=SSE)
    await publish(behind, {"topic": "nginx", "data": 1})
    event = await stream.event(seconds=5)
    stream.reset()  # to a goodbye of TLS alone, nginx answers with the stream's next bytes
    assert event is not None
    assert event.data == "1"


async def publish(behind: Behind, event: object) -> None:
    async with await behind.fetch("/events", method="POST", body=orjson.dumps(event)) as answer:
        assert answer.status == 201, await answer.body()


async def test_lines_are_published_as_they_come(behind: Behind) -> None:
    """The answer to a line is there before the next one is sent: neither direction is kept back."""
    port = int(behind.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=behind.tls)
    headers = {"Content-Type": "application/x-ndjson", "Transfer-Encoding": "chunked"}
    writer.write(request_bytes("POST", "/events", headers))
    answer = Stream(reader, writer)
    receipts = answer.values()
    for number in range(3):
        line = orjson.dumps({"topic": "nginx", "data": number}) + b"\n"
        writer.write(b"%x\r\n%b\r\n" % (len(line), line))
        async with asyncio.timeout(20):
            if not number:
                await answer.read_head("POST")
            assert "id" in await anext(receipts)
    writer.write(b"0\r\n\r\n")
    await answer.body()
    assert answer.clean
    await answer.close()


async def test_a_download_is_whole_and_fills_no_disk(behind: Behind) -> None:
    async with await behind.fetch("/download/large", receive_buffer=65536) as answer:
        assert await answer.body() == BODY
    assert "temporary file" not in behind.log.read_text()


async def test_a_download_resumes(behind: Behind) -> None:
    tag = "W/"
    async with asyncio.timeout(PATIENCE):
        # Two seconds after its last write a file has a strong tag.
        while tag.startswith("W/"):
            async with await behind.fetch("/download/large", method="HEAD") as head:
                tag = head.headers["etag"]
    headers = {"Range": "bytes=30000000-", "If-Range": tag}
    async with await behind.fetch("/download/large", headers=headers) as rest:
        assert rest.status == 206
        assert await rest.body() == BODY[30_000_000:]


async def test_who_the_proxy_names_is_the_client(behind: Behind) -> None:
    streams = []
    for address in ("198.51.100.1", "198.51.100.1", "198.51.100.1", "198.51.100.2"):
        headers = LINES | {"X-Forwarded-For": address}
        streams.append(await behind.fetch("/events?topic=nginx", headers=headers))
    assert [stream.status for stream in streams] == [200, 200, 429, 200]
    for stream in streams:
        stream.reset()


async def test_an_event_source_comes_back_to_a_service_that_is_away(
    nginx: Callable[[int], Behind],
) -> None:
    alone = nginx(free_port())
    async with await alone.fetch("/events", headers=SSE) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/event-stream"
        assert re.fullmatch(rb"retry: \d+\n\n", await answer.body())
    async with await alone.fetch("/events", headers=LINES) as answer:
        assert answer.status == 503


async def test_an_event_passes_over_http2(behind: Behind, tool: Callable[..., str]) -> None:
    command = [tool("curl"), "-sSikN", "--http2", behind.url + "/events?topic=h2"]
    curl = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert curl.stdout
    try:
        async with asyncio.timeout(20):
            assert (await curl.stdout.readline()).startswith(b"HTTP/2 200")
            await curl.stdout.readuntil(b"\nid: ")  # its place: it is subscribed
            await publish(behind, {"topic": "h2", "data": 1})
            await curl.stdout.readuntil(b"\ndata: 1\n")
    finally:
        curl.terminate()
        await curl.wait()


async def test_what_is_ours_stays_inside(behind: Behind) -> None:
    for path in ("/metrics", "/livez", "/readyz"):
        async with await behind.fetch(path) as answer:
            assert answer.status == 404, path
