"""The error for a client where the upstream answers by a status other than 200."""

import logging
from contextlib import suppress

import anyio
import httpx
import orjson

from eddyline.errors import StreamingError, UpstreamError
from eddyline.wire.retry_after import retry_after
from eddyline_chat.upstreams.base import UpstreamBusy, UpstreamLimited, UpstreamRefused
from eddyline_chat.upstreams.delta import codes, quoted

_log = logging.getLogger(__name__)

#: Bytes of an error's body, as far as it is looked at; seconds to read it.
_BODY_LIMIT = 64 * 1024
_BODY_WAIT = 2.0

#: Seconds until the client may come back: where the upstream names no time, and at most.
_RETRY_AFTER = 5.0
_RETRY_AFTER_MOST = 3600.0

#: The question is at fault: a client that gets 502 instead would ask it again.
_QUESTION = frozenset((400, 413, 422))

#: 529 is Anthropic's "overloaded_error" (its API's page "Errors").
_BUSY = frozenset((503, 529))

#: No waiting helps: the account is at its end ("Error codes" in OpenAI's guides).
_SPENT = frozenset(("insufficient_quota", "billing_hard_limit_reached", "billing_not_active"))


async def refusal(response: httpx.Response) -> StreamingError:
    """The error for `response`; its text names the status and the code, and nothing else."""
    body = await _body(response)
    status, found = response.status_code, frozenset(codes(body))
    text = f"the upstream answered {status}{quoted(body)}{_elsewhere(response)}"
    _log.warning(text)
    if status == 429 and found & _SPENT:
        return UpstreamRefused(text, status)
    if status == 429:
        return UpstreamLimited(text, _retry_after(response))
    if status in _BUSY:
        return UpstreamBusy(text, _retry_after(response))
    if status in _QUESTION or (status == 404 and "model_not_found" in found):
        return UpstreamRefused(text, status)
    return UpstreamError(text)


async def _body(response: httpx.Response) -> object:
    body = b""
    with suppress(httpx.HTTPError, ValueError), anyio.move_on_after(_BODY_WAIT):
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _BODY_LIMIT:
                return None
        return orjson.loads(body)
    return None


def _elsewhere(response: httpx.Response) -> str:
    """The host of a redirect: it tells the operator which URL would be right."""
    if not response.has_redirect_location:
        return ""
    try:
        host = response.url.join(response.headers["location"]).host
    except httpx.InvalidURL:
        return ": a redirect to what is no URL"
    return f": a redirect to {host}, which is not followed"


def _retry_after(response: httpx.Response) -> float:
    # Azure's and OpenAI's servers send both; the clients of OpenAI read milliseconds first.
    milliseconds = retry_after(response.headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return min(milliseconds / 1000, _RETRY_AFTER_MOST)
    seconds = retry_after(response.headers.get("retry-after", ""))
    return _RETRY_AFTER if seconds is None else min(seconds, _RETRY_AFTER_MOST)
