"""Publishing: one event, some at once, or any number as NDJSON; safe to send again."""

import uuid
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any

import orjson

from eddyline.client.api import Api, Attempts
from eddyline.client.errors import Failed, Refused
from eddyline.client.events.messages import Publication, Published, Rejected
from eddyline.wire import ndjson

#: Events and bytes of one request of many: it is sent again as a whole.
GROUP_EVENTS = 500
GROUP_BYTES = 256 * 1024

#: Errors of a line after which the hub reads no further one.
_STOPS = (401, 429, 503)


async def publish(api: Api, publication: Publication, key: str | None) -> str:
    """The event's id."""
    answer = await _post(api, orjson.dumps(publication), "application/json", key)
    return str(orjson.loads(answer)["id"])


async def publish_many(api: Api, publications: Iterable[Publication], key: str | None) -> list[str]:
    """All or none: the ids, in the order of the events."""
    body = list(publications)
    if not body:
        return []
    answer = await _post(api, orjson.dumps(body), "application/json", key)
    return [str(each["id"]) for each in orjson.loads(answer)]


async def publish_lines(
    api: Api, publications: Iterable[Publication] | AsyncIterable[Publication]
) -> AsyncIterator[Published | Rejected]:
    """A result for each event, in their order, in constant memory."""
    first = 0
    async for group in _groups(publications):
        async for result in _publish_group(api, group, first):
            yield result
        first += len(group)


async def _post(api: Api, body: bytes, media_type: str, key: str | None) -> bytes:
    # The same key with each attempt: nothing comes twice, even where the first one did arrive.
    headers = {"Content-Type": media_type, "Idempotency-Key": key or uuid.uuid4().hex}
    return (await api.request("POST", "events", content=body, headers=headers)).content


async def _publish_group(
    api: Api, lines: list[bytes], first: int
) -> AsyncIterator[Published | Rejected]:
    """Sends one group until each of its lines has a result."""
    headers = {"Content-Type": ndjson.NDJSON, "Idempotency-Key": uuid.uuid4().hex}
    attempts = Attempts(api.patience)
    body = b"".join(lines)
    while True:
        results: list[Published | Rejected] = []
        answer = await api.request("POST", "events", content=body, headers=headers)
        stop = _read(answer.content, first, results)
        if isinstance(stop, Refused):
            for result in results:
                yield result
            raise stop
        if len(results) == len(lines):
            break
        await attempts.pause(stop or Failed(200, "the hub did not answer each line"))
    for result in results:
        yield result


def _read(body: bytes, first: int, results: list[Published | Rejected]) -> Refused | Failed | None:
    """Fills in the results of the lines; returns the error after which the hub stopped."""
    for line in ndjson.Parser().feed(body):
        if "error" not in line:
            results.append(Published(line["id"], line.get("replayed", False)))
            continue
        error: dict[str, Any] = line["error"]
        status, detail = int(error["status"]), str(error["detail"])
        if status == 401:
            return Refused(status, detail)
        if status in _STOPS:
            return Failed(status, detail)
        results.append(Rejected(first + line["line"] - 1, status, detail))
    return None


async def _groups(
    publications: Iterable[Publication] | AsyncIterable[Publication],
) -> AsyncIterator[list[bytes]]:
    """Encoded lines, as many at once as one request has."""
    group: list[bytes] = []
    size = 0
    async for publication in _each(publications):
        line = ndjson.encode(publication)
        if group and (len(group) == GROUP_EVENTS or size + len(line) > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(line)
        size += len(line)
    if group:
        yield group


async def _each(
    publications: Iterable[Publication] | AsyncIterable[Publication],
) -> AsyncIterator[Publication]:
    if isinstance(publications, AsyncIterable):
        async for publication in publications:
            yield publication
    else:
        for publication in publications:
            yield publication
