"""Settings of the logs service: `LOGS_*`, beside those of every service."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from eddyline.service.settings import Settings
from eddyline_logs.sources.registry import Sources


class LogsSettings(Settings):
    """`sources`: comma-separated directories, `name=path` and the like; see sources/registry.py.
    Sizes are in bytes.
    """

    model_config = SettingsConfigDict(env_prefix="LOGS_")

    sources: str = "./logs"

    # A log that the service itself writes, for something to follow; it still has to be a source.
    demo: Path | None = None

    # Files that are followed at the same time.
    tails: int = Field(default=500, gt=0)

    # A longer line is cut, and says so.
    line_limit: int = Field(default=64 * 1024, ge=64)

    # The most that `lines=` may ask for: lines, and bytes of the file.
    backlog_lines: int = Field(default=10_000, ge=0)
    backlog_bytes: int = Field(default=1024 * 1024, gt=0)

    # The lines that a client which drops can come back for: bytes, and seconds.
    journal_bytes: int = Field(default=64 * 1024 * 1024, gt=0)
    journal_age: float = Field(default=3600.0, gt=0)

    @field_validator("sources")
    @classmethod
    def _parses(cls, value: str) -> str:
        Sources.parse(value)
        return value
