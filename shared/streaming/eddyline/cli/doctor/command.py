"""The command `doctor`: all checks at once, and a line for each."""

import asyncio
import os
from typing import Annotated

import httpx
import typer

from eddyline.cli import exits
from eddyline.cli.doctor import access, server, streams
from eddyline.cli.doctor.base import Case, Check, Finding
from eddyline.cli.output import json_line, styled
from eddyline.cli.target import URL, Json, target
from eddyline.errors import StreamingError

CHECKS: tuple[Check, ...] = (
    server.ready,
    server.clock,
    server.http2,
    access.token,
    access.cors,
    streams.buffering,
    streams.resume,
    streams.idle,
)

_STYLES = {"ok": "green", "fault": "bold red", "skipped": "dim"}


def doctor(
    url: Annotated[str, typer.Argument(envvar="EDDYLINE_URL", metavar="URL")] = URL,
    origin: Annotated[
        str | None, typer.Option(help="An origin whose pages should be able to read.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Do not wait for a heartbeat.")] = False,
    patience: Annotated[
        float, typer.Option(help="Seconds after which the first byte of a stream is late.")
    ] = 5.0,
    as_json: Json = False,
) -> None:
    """Find the faults on the way to a suite, each with its fix; exit code 1 if there is one."""

    async def work() -> None:
        found = target(url, dict(os.environ))
        async with httpx.AsyncClient(timeout=20.0) as client:
            idle = 0.0 if quick else 20.0
            case = Case(found.url, found.token, origin, patience, idle, client)
            faults = [each for each in await examine(case, as_json) if each.state == "fault"]
        if faults:
            raise StreamingError(f"{len(faults)} of the checks found a fault")

    exits.guarded(lambda: asyncio.run(work()))


async def examine(case: Case, as_json: bool) -> list[Finding]:
    """The findings, each shown as soon as all before it are there."""
    first = await server.reached(case)
    _show(first, as_json)
    if first.state == "fault":
        return [first]
    findings = [first]
    tasks = [asyncio.create_task(_finding(check, case)) for check in CHECKS]
    for task in tasks:
        findings.append(await task)
        _show(findings[-1], as_json)
    return findings


async def _finding(check: Check, case: Case) -> Finding:
    try:
        return await check(case)
    except (httpx.HTTPError, StreamingError, OSError) as error:
        return Finding(check.__name__, "skipped", f"it failed: {error or type(error).__name__}")


def _show(finding: Finding, as_json: bool) -> None:
    if as_json:
        names = ("check", "state", "text", "fix")
        json_line({name: getattr(finding, name) for name in names})
        return
    styled(
        (f"{finding.state:<7}", _STYLES[finding.state]),
        (f"{finding.check}:", "bold"),
        (finding.text, ""),
    )
    if finding.fix:
        styled((f"{'fix':>7}", "dim"), (finding.fix, ""))
