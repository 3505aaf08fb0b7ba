"""Checks of the server itself: is it there, ready, and its clock right; does TLS offer HTTP/2?"""

import asyncio
import ssl
import time
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from eddyline.cli.doctor.base import Case, Finding

#: Seconds. Dates of HTTP have whole seconds, and an answer takes a while.
_SKEW = 10.0


async def reached(case: Case) -> Finding:
    began = time.monotonic()
    try:
        answer = await case.client.get(case.at("livez"))
    except httpx.TransportError as error:
        return Finding(
            "reached",
            "fault",
            f"no answer from {case.url}: {error or type(error).__name__}",
            "Is this the address, and is the suite started (`make run`, `make up`)? A TLS error:"
            " SSL_CERT_FILE names the authority of a certificate of your own.",
        )
    took = (time.monotonic() - began) * 1000
    return Finding("reached", "ok", f"answers {answer.status_code} in {took:.0f} ms")


async def ready(case: Case) -> Finding:
    answer = await case.client.get(case.at("readyz"))
    if answer.status_code == 200:
        return Finding("ready", "ok", "takes new streams")
    if answer.status_code != 503:
        return Finding("ready", "skipped", "/readyz is not routed here, as it should be outside")
    try:
        faults = "; ".join(f"{name}: {fault}" for name, fault in answer.json()["faults"].items())
    except (ValueError, TypeError, KeyError, AttributeError):
        faults = "no reason is given"
    return Finding("ready", "fault", f"takes no new streams: {faults}", "See the service's log.")


async def clock(case: Case) -> Finding:
    before = time.time()
    answer = await case.client.get(case.at("livez"))
    here = (before + time.time()) / 2
    try:
        there = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return Finding("clock", "skipped", "the answer has no date")
    off = there - here
    if abs(off) <= _SKEW:
        return Finding("clock", "ok", "the same as here, to the second")
    return Finding(
        "clock",
        "fault",
        f"the server's clock is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} this one",
        "Set both by NTP (`timedatectl`): tokens are refused before their time, or live too long.",
    )


async def http2(case: Case) -> Finding:
    parts = urlsplit(case.url)
    if parts.scheme != "https":
        return Finding(
            "http2", "skipped", "no TLS: browsers open six streams of one origin at most"
        )
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=context)
    chosen = writer.get_extra_info("ssl_object").selected_alpn_protocol()
    writer.close()
    if chosen == "h2":
        return Finding("http2", "ok", "browsers may open any number of streams")
    return Finding(
        "http2",
        "fault",
        f"TLS offers {chosen or 'no ALPN'}: browsers open six streams of one origin at most",
        "Let the gateway speak HTTP/2, such as `http2 on;` of nginx.",
    )
