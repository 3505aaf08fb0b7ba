"""Bytes that are no request, or almost one: each connection ends, and the suite goes on."""

import asyncio
import re

from hypothesis import strategies as st

from eddyline.testing import fetch
from tests.fuzz.conftest import Suite, try_examples

#: Seconds in which a connection must have its answer or its end; the suite's timeouts are 1 s.
PATIENCE = 30.0

TOKEN = st.sampled_from(
    [b"GET", b"POST", b"HEAD", b"PRI", b"get", b"\0", b"CONNECT", b"QUERY", b""]
)
TARGET = st.sampled_from(
    [b"/livez", b"/events", b"*", b"http://a/livez", b"//", b"/%00", b"/%ff?%", b"/" + b"a" * 9000]
)
VERSION = st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP", b""])
NAME = st.sampled_from(
    [b"Host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Expect", b"Upgrade", b"X Y"]
) | st.binary(max_size=20)
VALUE = st.sampled_from(
    [
        b"a",
        b"0",
        b"-1",
        b"3",
        b"99999999999999999999",
        b"chunked",
        b"gzip, chunked",
        b"close",
        b"h2c",
    ]
) | st.binary(max_size=40)
END = st.sampled_from([b"\r\n", b"\n", b"\r", b"\r\n\r\n", b""])
LINE = st.tuples(NAME, st.sampled_from([b": ", b":", b" :"]), VALUE, END).map(b"".join)
FIRST = st.tuples(TOKEN, st.just(b" "), TARGET, st.just(b" "), VERSION, END).map(b"".join)
BODY = st.sampled_from(
    [b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"fffffffffffffffff\r\n", b"0\r\nX: y"]
)
HEAD = st.tuples(FIRST, st.lists(LINE, max_size=6).map(b"".join), END, BODY).map(b"".join)
BYTES = HEAD | st.binary(max_size=2000) | st.tuples(HEAD, HEAD).map(b"".join)

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


def test_bytes_that_are_no_request_hurt_nobody(suite: Suite) -> None:
    cases = [st.lists(BYTES, min_size=20, max_size=40)]
    assert try_examples(cases, lambda batch: asyncio.run(_try(suite, batch)), examples=2)


async def _try(suite: Suite, batch: list[bytes]) -> None:
    answers = await asyncio.gather(*(_sent(suite, data) for data in batch))
    for data, answer in zip(batch, answers, strict=True):
        for status in STATUS.findall(answer):
            assert int(status) < 500 or status in (b"501", b"505"), (data, answer)
    async with await fetch(suite.url + "/livez") as alive:
        assert alive.status == 200


async def _sent(suite: Suite, data: bytes) -> bytes:
    """The first bytes of the answer, or none where the connection ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", suite.port)
    try:
        async with asyncio.timeout(PATIENCE):
            writer.write(data)
            return await reader.read(65536)
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()
