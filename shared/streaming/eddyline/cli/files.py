"""Commands of downloads: get, ls."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from eddyline.cli.output import errors, json_line, printable, say, size, table
from eddyline.cli.target import URL, Json, Url, run
from eddyline.client import AsyncClient
from eddyline.client import Progress as Place


def get(
    files: Annotated[list[str], typer.Argument(help="Paths, as `ls` lists them.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A folder, or the file of one download.")
    ] = None,
    connections: Annotated[
        int, typer.Option("-x", "--connections", min=1, max=16, help="Ranges read at once.")
    ] = 4,
    sha256: Annotated[str | None, typer.Option(help="The digest that the file must have.")] = None,
    as_json: Json = False,
    url: Url = URL,
) -> None:
    """Download files: resumed where an earlier attempt ended, checked, and whole or absent."""
    if sha256 is not None and len(files) > 1:
        raise typer.BadParameter("--sha256 is the digest of one file")

    async def work(client: AsyncClient) -> None:
        for file in files:
            to = _target(file, output, several=len(files) > 1)
            with _shown(file) as tell:
                done = await client.download(
                    file, to, connections=connections, sha256=sha256, progress=tell
                )
            if as_json:
                fields = ("size", "etag", "resumed", "sha256")
                json_line({"path": str(to)} | {name: getattr(done, name) for name in fields})
            else:
                checked = f"sha-256 {done.sha256}" if done.sha256 else "the server names no digest"
                resumed = f", {size(done.resumed)} of them from before" if done.resumed else ""
                say(f"{to}: {size(done.size)}{resumed}; {checked}")

    run(url, work)


def _target(file: str, output: Path | None, several: bool) -> Path:
    # The last part alone: a path of the server must not lead out of the folder.
    name = PurePosixPath(file).name
    if name in ("", ".", ".."):
        raise typer.BadParameter(f"{file!r} names no file")
    if output is None:
        return Path(name)
    if several or output.is_dir():
        output.mkdir(parents=True, exist_ok=True)
        return output / name
    return output


class _Told:
    """The progress of one file on the terminal; a newer version of it is said."""

    def __init__(self, bar: Progress, name: str) -> None:
        self._bar = bar
        self._task = bar.add_task(printable(name), total=None)
        self._version = 1

    def __call__(self, place: Place) -> None:
        if place.version != self._version:
            self._version = place.version
            say("changed on the server: starting anew", "yellow")
        self._bar.update(self._task, completed=place.done, total=place.size)


@contextmanager
def _shown(name: str) -> Iterator[_Told]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors(), disable=not sys.stderr.isatty()) as bar:
        yield _Told(bar, name)


def ls(
    prefix: Annotated[str, typer.Argument(help="The beginning of the paths.")] = "",
    as_json: Json = False,
    url: Url = URL,
) -> None:
    """The files that may be read."""

    async def work(client: AsyncClient) -> None:
        found = [file async for file in client.files(prefix)]
        if as_json:
            for file in found:
                json_line(file)
        else:
            rows = [(str(f["size"]), str(f["modified"] or "-"), f["path"]) for f in found]
            table(["bytes", "modified", "path"], rows)

    run(url, work)
