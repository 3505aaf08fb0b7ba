"""Settings of the records service: `RECORDS_*`, beside those of every service."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from eddyline.service.settings import Settings
from eddyline_records.sources.base import Source
from eddyline_records.sources.registry import parse_datasets
from eddyline_records.sources.sqlite.source import SqliteSource


class RecordsSettings(Settings):
    """`datasets`: see sources/registry.py, which has the grammar."""

    model_config = SettingsConfigDict(env_prefix="RECORDS_")

    datasets: str = ""
    """The datasets: `name=sqlite:////srv/db?table=users&key=id`, separated by spaces."""
    demo: Path | None = None
    """Where a million users are made at the first start; they are the dataset `users` then."""

    snapshot_seconds: float = Field(30.0, gt=0)
    """How long a reader with `snapshot=1` may keep the state of a database as it is."""

    @field_validator("datasets")
    @classmethod
    def _parses(cls, value: str) -> str:
        parse_datasets(value)
        return value

    @property
    def by_name(self) -> dict[str, Source]:
        configured = parse_datasets(self.datasets)
        if self.demo is None:
            return configured
        return {"users": SqliteSource("users", self.demo, "users", ("id",)), **configured}
