"""Commands of logs, chat and records: tail, chat, records."""

import asyncio
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from eddyline.cli.exits import Gap
from eddyline.cli.output import colour, json_line, say, styled
from eddyline.cli.target import URL, Json, Strict, Url, run
from eddyline.client import AsyncClient, LogLine, LogNote
from eddyline.errors import StreamingError

#: By the word in a line, where the service tells no level of it.
_LEVELS = re.compile(r"\b(?:(FATAL|CRITICAL|ERROR)|(WARN(?:ING)?)|(DEBUG|TRACE))\b", re.IGNORECASE)


def tail(
    sources: Annotated[list[str] | None, typer.Argument(help="Logs; none: list them.")] = None,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="Last lines first.")] = 10,
    after: Annotated[
        str | None, typer.Option(help="Begin after this id, or with the `earliest` line.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Keep the place in this file; for one source.")
    ] = None,
    grep: Annotated[str | None, typer.Option(help="Only lines that this expression fits.")] = None,
    follow: Annotated[bool, typer.Option(help="Wait for new lines.")] = True,
    strict: Strict = False,
    as_json: Json = False,
    url: Url = URL,
) -> None:
    """Follow logs, several of them together; a gap and a rotation are told on standard error."""
    if state is not None and len(sources or ()) != 1:
        raise typer.BadParameter("--state keeps the place in one source")
    try:
        view = _View(re.compile(grep or ""), len(sources or ()) > 1, strict, as_json)
    except re.error as error:
        raise typer.BadParameter(f"--grep {grep!r}: {error}") from None

    async def read(client: AsyncClient, source: str, style: str) -> None:
        if not follow:
            async for item in client.last_lines(source, lines):
                view.show(item, source, style)
            return
        async with client.tail(source, lines=lines, after=after, state_file=state) as items:
            async for item in items:
                view.show(item, source, style)
                items.save()

    async def work(client: AsyncClient) -> None:
        if not sources:
            for source in await client.log_sources():
                styled((source, ""))
            return
        try:
            async with asyncio.TaskGroup() as group:
                for number, source in enumerate(sources):
                    group.create_task(read(client, source, colour(number)))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    run(url, work)


@dataclass(frozen=True, slots=True)
class _View:
    """How lines and notes of logs are shown."""

    wanted: re.Pattern[str]
    several: bool
    strict: bool
    as_json: bool

    def show(self, item: LogLine | LogNote, source: str, style: str) -> None:
        if isinstance(item, LogNote):
            _tell_note(item, source, self.strict)
        elif not self.wanted.search(item.line):
            return
        elif self.as_json:
            json_line(item.fields)
        else:
            styled((source if self.several else "", style), (item.line, _level(item.line)))


def _tell_note(note: LogNote, source: str, strict: bool) -> None:
    reason = note.fields.get("reason") or note.fields.get("line") or ""
    if note.is_loss:
        say(f"{source}: lines are missing ({reason or note.kind})", "bold red")
        if strict:
            raise Gap(f"{source}: lines are missing")
    else:
        say(f"{source}: {note.kind} {reason}".rstrip(), "dim")


def _level(line: str) -> str:
    found = _LEVELS.search(line)
    if found is None:
        return ""
    return "red" if found[1] else "yellow" if found[2] else "dim"


def chat(
    message: Annotated[str | None, typer.Argument(help="None: standard input.")] = None,
    resume: Annotated[
        str | None, typer.Option(help="Read the answer of this id, from its start.")
    ] = None,
    as_json: Json = False,
    url: Url = URL,
) -> None:
    """Ask, and read the answer token by token; a part of an answer ends with exit code 5."""

    if resume is not None and message is not None:
        raise typer.BadParameter("expected a message, or --resume alone")

    async def work(client: AsyncClient) -> None:
        if resume is not None:
            asked = client.rejoin(resume)
        else:
            asked = client.chat(message if message is not None else sys.stdin.read())
        async with asked as answer:
            try:
                async for token in answer:
                    if as_json:
                        json_line({"token": token})
                    else:
                        sys.stdout.write(token)
                        sys.stdout.flush()
            except (asyncio.CancelledError, StreamingError):
                if answer.generation_id is not None:
                    say(f"the rest of it: eddyline chat --resume {answer.generation_id}")
                raise
        if as_json:
            names = ("finish_reason", "generation_id")
            json_line({"done": True} | {name: getattr(answer, name) for name in names})
        else:
            sys.stdout.write("\n")
        if answer.finish_reason == "length":
            say("the answer reached the model's limit", "yellow")

    run(url, work)


def records(
    dataset: Annotated[str, typer.Argument(help="Its name, such as `users`.")],
    columns: Annotated[str, typer.Option(help="Some columns, between commas.")] = "",
    cursor: Annotated[str | None, typer.Option(help="Go on after these rows.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="So many rows at most.")] = None,
    url: Url = URL,
) -> None:
    """Rows as NDJSON: each once though connections break, and their digest is checked."""

    async def work(client: AsyncClient) -> None:
        names = [name for name in columns.split(",") if name]
        count = 0
        async with client.records(dataset, columns=names, cursor=cursor, limit=limit) as rows:
            async for row in rows:
                json_line(row)
                count += 1
        say(f"{count} rows; the cursor after them: {rows.cursor}", "dim")
        if rows.changed:
            say("others wrote meanwhile: a row may be there twice, or be missing", "yellow")

    run(url, work)
