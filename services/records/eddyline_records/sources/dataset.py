"""Datasets, as RECORDS_DATASETS names them: `users=sqlite:////srv/users.db?table=users&key=id`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_EXPECTED = "expected <name>=sqlite:///<path>?table=<table>&key=<column>"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A table whose rows are read in the order of `key`: a column that is unique and never null."""

    name: str
    path: Path
    table: str
    key: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError. The path comes after `sqlite:///`: an absolute one has a fourth."""
        name, _, location = text.partition("=")
        url = urlsplit(location)
        if not _NAME.match(name):
            raise ValueError(f"{text!r}: {name!r} is not a name of letters, digits, - and _")
        if url.scheme != "sqlite" or url.netloc or not url.path[1:]:
            raise ValueError(f"{text!r}: {location!r} is not a database; {_EXPECTED}")
        options = parse_qs(url.query)
        if set(options) != {"table", "key"} or any(len(v) > 1 for v in options.values()):
            raise ValueError(
                f"{text!r}: {url.query!r} must name one table and one key; {_EXPECTED}"
            )
        path = Path(unquote(url.path[1:]))
        return cls(name, path, options["table"][0], options["key"][0])


def parse_datasets(text: str) -> dict[str, Dataset]:
    """By name; white space separates them (in a path it is `%20`). Raises ValueError."""
    datasets: dict[str, Dataset] = {}
    for word in text.split():
        dataset = Dataset.parse(word)
        if dataset.name in datasets:
            raise ValueError(f"{word!r}: there is another dataset {dataset.name!r} before it")
        datasets[dataset.name] = dataset
    return datasets
