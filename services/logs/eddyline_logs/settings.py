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
    """Directories, `name=path`, `name=glob` and `name=cri:directory` (a node's pods), separated by
    commas.
    """
    demo: Path | None = None
    """A log that the service itself writes, for something to follow; `sources` names it, too."""
    tails: int = Field(default=500, gt=0)
    """Files that are followed at the same time, at most; those without readers make room."""
    line_limit: int = Field(default=64 * 1024, ge=64)
    """A line of more bytes is cut, and says so."""
    backlog_lines: int = Field(default=10_000, ge=0)
    """The most lines that `lines=` may ask for."""
    backlog_bytes: int = Field(default=1024 * 1024, gt=0)
    """How far back into a file `lines=` reads."""
    journal_bytes: int = Field(default=64 * 1024 * 1024, gt=0)
    """Bytes of lines in memory; clients that are further behind read the files."""
    journal_age: float = Field(default=3600.0, gt=0)
    """Seconds for which lines are kept in memory."""

    @field_validator("sources")
    @classmethod
    def _parses(cls, value: str) -> str:
        Sources.parse(value)
        return value
