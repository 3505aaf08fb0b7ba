"""The error for a client where the upstream answers by a status other than 200."""

import logging
from urllib.parse import urlsplit

import orjson

from eddyline.errors import StreamingError, UpstreamError
from eddyline.wire.retry_after import retry_after
from eddyline_chat.client.base import Head
from eddyline_chat.client.origin import joined
from eddyline_chat.openai.chunk import codes, quoted
from eddyline_chat.upstreams.base import UpstreamBusy, UpstreamLimited, UpstreamRefused

_log = logging.getLogger(__name__)

#: Bytes of an error's body, as far as it is looked at; seconds to read it.
BODY_LIMIT = 64 * 1024
BODY_WAIT = 2.0

#: Seconds until the client may come back: where the upstream names no time, and at most.
_RETRY_AFTER = 5.0
_RETRY_AFTER_MOST = 3600.0

#: The question is at fault: a client that gets 502 instead would ask it again.
_QUESTION = frozenset((400, 413, 422))

#: 529 is Anthropic's "overloaded_error" (its API's page "Errors").
_BUSY = frozenset((503, 529))

#: No waiting helps: the account is at its end ("Error codes" in OpenAI's guides).
_SPENT = frozenset(("insufficient_quota", "billing_hard_limit_reached", "billing_not_active"))


def refusal(url: str, head: Head, body: bytes) -> StreamingError:
    """The error for a response; its text names the status and the code, and nothing else.

    `url`: the one that was asked. `body`: empty where it was too long, or came too late.
    """
    try:
        told = orjson.loads(body)
    except ValueError:
        told = None
    status, found = head.status, list(codes(told))
    text = f"the upstream answered {status}{quoted(told)}{_elsewhere(url, head)}"
    _log.warning(text)
    code = found[0] if found else None
    if status == 429 and _SPENT.intersection(found):
        return UpstreamRefused(text, status, code)
    if status == 429:
        return UpstreamLimited(text, _retry_after(head))
    if status in _BUSY:
        return UpstreamBusy(text, _retry_after(head))
    if status in _QUESTION or (status == 404 and "model_not_found" in found):
        return UpstreamRefused(text, status, code)
    return UpstreamError(text)


def _elsewhere(url: str, head: Head) -> str:
    """The host of a redirect: it tells the operator which URL would be right."""
    location = head.headers.get("location")
    if head.status // 100 != 3 or location is None:
        return ""
    try:
        host = urlsplit(joined(url, location)).hostname
    except ValueError:
        return ": a redirect to what is no URL"
    return f": a redirect to {host}, which is not followed"


def _retry_after(head: Head) -> float:
    # Azure's and OpenAI's servers send both; the clients of OpenAI read milliseconds first.
    milliseconds = retry_after(head.headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return min(milliseconds / 1000, _RETRY_AFTER_MOST)
    seconds = retry_after(head.headers.get("retry-after", ""))
    return _RETRY_AFTER if seconds is None else min(seconds, _RETRY_AFTER_MOST)
