"""Static files for browsers: the JavaScript client and the debug page."""

import json
import random
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from eddyline.testing import fetch
from eddyline.wire.sse import Parser
from eddyline_events.http import browser_files

CLIENT = Path(browser_files.__file__).parents[1] / "static" / "eddyline.js"


async def test_the_client_is_served_as_a_module_for_any_origin(standing):
    async with await fetch(standing.url + "/events/static/eddyline.js") as answer:
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cache-control"] == "no-cache"
        assert await answer.body() == CLIENT.read_bytes()
    headers = {"If-None-Match": answer.headers["etag"]}
    async with await fetch(standing.url + "/events/static/eddyline.js", headers=headers) as again:
        assert (again.status, await again.body()) == (304, b"")
    async with await fetch(standing.url + "/events/static/eddyline.js", method="HEAD") as head:
        assert head.headers["content-length"] == str(CLIENT.stat().st_size)


async def test_nothing_else_is_under_static(standing):
    for path in ("debug.html", "../app.py", "%2e%2e/app.py", "eddyline.js/"):
        async with await fetch(f"{standing.url}/events/static/{path}") as answer:
            assert answer.status in (307, 404)


async def test_the_debug_page_may_load_nothing_from_elsewhere(standing):
    async with await fetch(standing.url + "/events/debug") as answer:
        page = (await answer.body()).decode()
        assert answer.headers["content-type"].startswith("text/html")
        policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", page)


def in_node(script: str, value: object) -> object:
    """The JSON that a script writes, which has imported the client; `value` is its input."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is missing: apt-get install nodejs")
    source = CLIENT.read_text() + script
    command = [node, "--input-type=module", "--eval", source]
    done = subprocess.run(
        command, input=json.dumps(value), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


PARSE = """
const { readFileSync } = await import("node:fs");
const results = JSON.parse(readFileSync(0, "utf8")).map(({ id, pieces }) => {
  const [parser, decoder, events] = [new EventStreamParser(id), new TextDecoder(), []];
  let last = id;
  for (const piece of pieces) {
    const bytes = Uint8Array.from(piece);
    for (const block of parser.feed(decoder.decode(bytes, { stream: true }))) {
      last = block.id;
      if (block.data !== null) events.push([block.data, block.event, block.id]);
    }
  }
  return { events, last, retry: parser.retry ?? null };
});
console.log(JSON.stringify(results));
"""

STREAMS = [
    b"data: a\n\ndata: b\r\rdata: c\r\n\r\n",
    b"\xef\xbb\xbfdata: bom\n\n\xef\xbb\xbfdata: no field\n\n",
    b"id: 1\ndata: x\n\nid: bad\0id\ndata: y\n\nid\ndata: z\n\n",
    b"retry: 10\nretry: 1.5\nretry: -1\nretry:  7\nretry: 07x\n\n",
    b"data\n\ndata:\ndata:\n\ndata:  two spaces\n\nevent: e\n\ndata: after\n\n",
    b": comment\n:\n\nid: only\n\nevent: named\ndata: l1\ndata: l2\n\ndata: never ended\n",
    "event: ünïcödé\nid: é\ndata: 😀 ÿ\u2028\n\ndata:a:b: c\n\nunknown: x\ndatax: y\n\n".encode(),
    b"data: broken \xff\xf0\x9f utf-8\n\nid: \n\ndata: no id now\n\n",
]


def test_the_javascript_parser_agrees_with_pythons_wherever_it_is_cut():
    cases = []
    for stream in STREAMS:
        cases.append([bytes([byte]) for byte in stream])
        for _ in range(20):
            cuts = sorted(random.choices(range(len(stream) + 1), k=3))
            edges = [0, *cuts, len(stream)]
            cases.append([stream[a:b] for a, b in pairwise(edges)])
    wanted = []
    for pieces in cases:
        parser = Parser("before")
        events = [[e.data, e.event, e.id] for piece in pieces for e in parser.feed(piece)]
        wanted.append({"events": events, "last": parser.last_event_id, "retry": parser.retry})
    given = [{"id": "before", "pieces": [list(piece) for piece in pieces]} for pieces in cases]
    assert in_node(PARSE, given) == wanted
