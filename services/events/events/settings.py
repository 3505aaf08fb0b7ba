"""What the events service can be told: EVENTS_*."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from streaming.settings import Settings


class EventsSettings(Settings):
    """Sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_prefix="EVENTS_")

    #: What the journal retains: a client that was away for longer gets a reset.
    journal_bytes: int = Field(default=64 * 1024 * 1024, gt=0)
    journal_age: float = Field(default=3600.0, gt=0)
    max_event_bytes: int = Field(default=256 * 1024, gt=0)
    #: Publish the lesson's demo event each second.
    demo: bool = False
