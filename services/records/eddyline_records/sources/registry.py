"""Datasets, as RECORDS_DATASETS names them: `users=sqlite:////srv/users.db?table=users&key=id`."""

import re
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from eddyline_records.sources.base import Source
from eddyline_records.sources.duckdb.source import DuckSource
from eddyline_records.sources.sqlite.source import SqliteSource

#: Makes the source of a dataset, of its name and its URL; raises ValueError.
FromUrl = Callable[[str, SplitResult], Source]

#: Sources by the scheme of their URLs: another source is one more line here.
SOURCES: dict[str, FromUrl] = {
    "sqlite": SqliteSource.from_url,
    "parquet": DuckSource.from_url,
    "csv": DuckSource.from_url,
    "duckdb": DuckSource.from_url,
}

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def parse_datasets(text: str) -> dict[str, Source]:
    """Sources by name; white space separates them (in a path it is `%20`). Raises ValueError."""
    datasets: dict[str, Source] = {}
    for word in text.split():
        name, _, location = word.partition("=")
        if not _NAME.match(name):
            raise ValueError(f"{word!r}: {name!r} is not a name of letters, digits, - and _")
        if name in datasets:
            raise ValueError(f"{word!r}: there is another dataset {name!r} before it")
        try:
            datasets[name] = _source(name, location)
        except ValueError as error:
            raise ValueError(f"{word!r}: {error}") from None
    return datasets


def _source(name: str, location: str) -> Source:
    url = urlsplit(location)
    from_url = SOURCES.get(url.scheme)
    if from_url is None:
        known = " or ".join(f"{scheme}:///…" for scheme in SOURCES)
        raise ValueError(f"{location!r} is not a database; expected <name>={known}")
    return from_url(name, url)
