"""Commands of events: `sub`, `pub`, `topics`, `who`, `kick`, `ticket`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from eddyline.cli.exits import Gap
from eddyline.cli.output import clock, colour, json_line, line, say, span, styled, table
from eddyline.cli.target import URL, Json, Strict, Url, run
from eddyline.client import AsyncClient, Message, Publication, Published, Refused, Reset
from eddyline.client.client import publication
from eddyline.client.events.messages import loads

Topics = Annotated[
    list[str] | None, typer.Argument(help="Topics or URI templates; none: all public topics.")
]


def sub(
    topics: Topics = None,
    after: Annotated[
        str | None, typer.Option(help="Begin after this id, or with the `earliest` event.")
    ] = None,
    count: Annotated[int, typer.Option(min=0, help="End after so many events; 0: never.")] = 0,
    state: Annotated[
        Path | None, typer.Option(help="Keep the place in this file, and go on there.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The data alone.")] = False,
    strict: Strict = False,
    as_json: Json = False,
    url: Url = URL,
) -> None:
    """Follow topics. A gap is told on standard error, and with --json in the stream."""

    async def work(client: AsyncClient) -> None:
        colours: dict[str, str] = {}
        left = count
        async with client.subscribe(*(topics or ()), after=after, state_file=state) as events:
            async for event in events:
                if isinstance(event, Reset):
                    _tell_reset(event, as_json)
                    if strict:
                        raise Gap(f"events are missing: {event.reason}")
                    continue
                style = colours.setdefault(event.topic, colour(len(colours)))
                _show(event, style, raw, as_json)
                events.save()
                left -= 1
                if left == 0:
                    return

    run(url, work)


def _show(event: Message, style: str, raw: bool, as_json: bool) -> None:
    data = event.data if isinstance(event.data, str) else json.dumps(event.data, ensure_ascii=False)
    if as_json:
        fields = {name: getattr(event, name) for name in ("topic", "id", "time", "event", "data")}
        json_line(fields)
    elif raw:
        line(data)
    else:
        kind = "" if event.event == "message" else event.event
        styled(
            (clock(event.time), "dim"),
            (event.topic, style),
            (event.id or "-", "dim"),
            (kind, "bold"),
            (data, ""),
        )


def _tell_reset(reset: Reset, as_json: bool) -> None:
    if as_json:
        json_line({"reset": {"reason": reset.reason, "oldest": reset.oldest}})
    say(f"events are missing: {reset.reason}; the oldest there is: {reset.oldest}", "bold red")


def pub(
    topic: Annotated[str | None, typer.Argument(help="Not with --ndjson.")] = None,
    data: Annotated[
        str | None, typer.Argument(help="JSON, else a text; `-`: standard input.")
    ] = None,
    event: Annotated[str | None, typer.Option(help="Its type, in place of `message`.")] = None,
    id: Annotated[str | None, typer.Option("--id", help="An id of your own.")] = None,
    private: Annotated[
        bool, typer.Option("--private", help="For subscribers that name the topic.")
    ] = False,
    text: Annotated[bool, typer.Option("--text", help="The data is a text, never JSON.")] = False,
    key: Annotated[str | None, typer.Option(help="An idempotency key of your own.")] = None,
    ndjson: Annotated[
        bool, typer.Option("--ndjson", help="Publish the lines of standard input.")
    ] = False,
    url: Url = URL,
) -> None:
    """Publish an event, or many; prints the ids. Sent again until the hub has it, it comes once."""
    if ndjson == (topic is not None):
        raise typer.BadParameter("expected TOPIC and DATA, or --ndjson alone")

    async def one(client: AsyncClient) -> None:
        given = sys.stdin.read() if data == "-" else (data or "")
        value = given if text else _json_or_text(given)
        made: dict[str, Any] = {"event": event, "id": id, "private": private, "key": key}
        line(await client.publish(str(topic), value, **made))

    async def many(client: AsyncClient) -> None:
        rejected = 0
        async for result in client.publish_lines(_lines(sys.stdin)):
            if isinstance(result, Published):
                line(result.id)
            else:
                rejected += 1
                say(f"event {result.index + 1}: {result.status} {result.detail}", "red")
        if rejected:
            raise Refused(400, f"{rejected} events were rejected; all others are published")

    run(url, many if ndjson else one)


def _json_or_text(given: str) -> Any:
    try:
        return loads(given)
    except ValueError:
        return given


def _lines(source: TextIO) -> Iterator[Publication]:
    for number, text in enumerate(source, 1):
        if not text.strip():
            continue
        try:
            value = loads(text)
        except ValueError as error:
            raise Refused(400, f"line {number} is no JSON: {error}") from None
        if not isinstance(value, dict) or "topic" not in value:
            raise Refused(400, f'line {number}: expected {{"topic": …, "data": …}}')
        fields = {name: each for name, each in value.items() if name not in ("topic", "data")}
        yield publication(value["topic"], value.get("data"), **fields)


def topics(as_json: Json = False, url: Url = URL) -> None:
    """The retained topics, those with the newest events first."""

    async def work(client: AsyncClient) -> None:
        found = [topic async for topic in client.topics()]
        if as_json:
            for topic in found:
                json_line({"topic": topic.topic, "cursor": topic.cursor})
        else:
            table(["topic", "newest event"], [(topic.topic, topic.cursor) for topic in found])

    run(url, work)


def who(
    topic: Annotated[str | None, typer.Argument(help="One topic; none: all.")] = None,
    as_json: Json = False,
    url: Url = URL,
) -> None:
    """The subscribers, over all processes; needs the scope events:presence."""
    import time

    async def work(client: AsyncClient) -> None:
        found = await client.subscribers(topic, limit=1000)
        if as_json:
            for each in found:
                names = ("id", "subject", "topics", "since")
                json_line({name: getattr(each, name) for name in names})
            return
        rows = [
            (each.id, each.subject or "-", span(time.time() - each.since), " ".join(each.topics))
            for each in found
        ]
        table(["id", "subject", "for", "topics"], rows)

    run(url, work)


def kick(
    subscriber: Annotated[str | None, typer.Option(help="A subscriber's id: `who`.")] = None,
    subject: Annotated[
        str | None, typer.Option(help="A subject; it is refused for a time.")
    ] = None,
    jti: Annotated[str | None, typer.Option(help="A token's id; it is refused for a time.")] = None,
    url: Url = URL,
) -> None:
    """End the streams of a subscriber, a subject or a token; needs the scope events:kick."""
    if sum(each is not None for each in (subscriber, subject, jti)) != 1:
        raise typer.BadParameter("expected one of --subscriber, --subject and --jti")

    async def work(client: AsyncClient) -> None:
        if subscriber is not None:
            await client.kick_subscriber(subscriber)
        elif subject is not None:
            await client.kick_subject(subject)
        else:
            await client.kick_token(str(jti))

    run(url, work)


def ticket(as_json: Json = False, url: Url = URL) -> None:
    """A ticket for an EventSource of a browser, to be used within 30 s."""

    async def work(client: AsyncClient) -> None:
        made = await client.ticket()
        if as_json:
            json_line({"ticket": made.ticket, "expires": made.expires})
        else:
            line(made.ticket)

    run(url, work)
