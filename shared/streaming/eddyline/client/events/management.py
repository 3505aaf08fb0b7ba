"""Questions to a hub beside its stream: history, topics, subscribers, kicks, tickets."""

from collections.abc import AsyncIterator, Sequence
from urllib.parse import quote

import orjson

from eddyline.client.api import Api
from eddyline.client.events.messages import (
    History,
    Subscriber,
    Ticket,
    Topic,
    loads,
    message_of,
    reset_of,
)


async def history(api: Api, topics: Sequence[str], after: str | None, limit: int) -> History:
    query = [*(("topic", topic) for topic in topics), ("limit", str(limit))]
    if after is not None:
        query.append(("after", after))
    found = loads((await api.request("GET", "events/history", query)).content)
    return History(
        [message_of(each) for each in found["events"]],
        found["cursor"],
        found["more"],
        reset_of(found["reset"]) if found.get("reset") else None,
    )


async def topics(api: Api, page: int = 100) -> AsyncIterator[Topic]:
    """Retained topics, those with the newest events first, asked for `page` at a time."""
    before: str | None = None
    while True:
        query = [("limit", str(page)), *([("before", before)] if before else [])]
        found = loads((await api.request("GET", "events/topics", query)).content)
        for each in found["topics"]:
            yield Topic(each["topic"], each["cursor"])
        before = found["before"]
        if before is None:
            return


async def subscribers(api: Api, topic: str | None, limit: int) -> list[Subscriber]:
    query = [("limit", str(limit)), *([("topic", topic)] if topic is not None else [])]
    found = loads((await api.request("GET", "events/subscribers", query)).content)
    return [
        Subscriber(each["id"], each["subject"], each["topics"], each["since"])
        for each in found["subscribers"]
    ]


async def kick(api: Api, what: str, name: str) -> None:
    if what == "subscriber":
        await api.request("DELETE", f"events/subscribers/{quote(name, safe='')}")
        return
    body = orjson.dumps({what: name})
    headers = {"Content-Type": "application/json"}
    await api.request("POST", "events/kick", content=body, headers=headers)


async def ticket(api: Api) -> Ticket:
    found = loads((await api.request("POST", "events/tickets")).content)
    return Ticket(found["ticket"], found["expires"])
