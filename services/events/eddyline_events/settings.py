"""The settings of the events service: EVENTS_*."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from eddyline.journal.base import KEY_AGE
from eddyline.service.settings import Settings


class EventsSettings(Settings):
    """Sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_prefix="EVENTS_")

    redis_url: SecretStr | None = None
    """Where the journal is; without it, it is in the memory of one process."""
    hub: str = Field(default="events", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """The hub's name in Redis: hubs on one Redis know nothing of each other."""

    # The bounds of the journal: a client that was away for longer gets a reset.
    journal_bytes: int = Field(default=64 * 1024 * 1024, gt=0)
    """Bytes of events that the journal retains."""
    journal_entries: int = Field(default=1_000_000, gt=0)
    """Events that the journal retains at most (Redis)."""
    journal_age: float = Field(default=3600.0, gt=0)
    """How long the journal retains an event."""
    key_age: float = Field(default=KEY_AGE, ge=60)
    """How long an idempotency key is remembered, beside the journal: 200 bytes for each."""

    max_event_bytes: int = Field(default=256 * 1024, gt=0)
    """The most bytes of an event."""
    max_batch_bytes: int = Field(default=4 * 1024 * 1024, gt=0)
    """The most bytes of a JSON array of events (NDJSON has no limit)."""
    max_batch_events: int = Field(default=1000, gt=0)
    """The most events of such an array."""
    publish_rate: float = Field(default=0.0, ge=0)
    """Events per second that a token's subject may publish, by either API and at all processes
    together; 0: no limit.
    """
    namespaces: Path | None = None
    """A TOML file of options by the beginning of a topic."""
    publisher_key_file: Path | None = None
    """The key of publishers, a secret or a public key: where it is set, other keys publish nothing,
    and this one does nothing else.
    """

    presence_grace: float = Field(default=5.0, ge=0)
    """A subscriber that comes back within this time was never away."""
    kick_seconds: float = Field(default=3600.0, gt=0)
    """How long a kicked subject or token is refused: at least as long as tokens are valid."""

    demo: bool = False
    """Publish the demo event each second, one for all processes of the hub."""

    # The Mercure protocol: see mercure/.
    anonymous: bool = False
    """With authentication on, let Mercure's subscribers without a token read public updates."""
    mercure_url: str | None = Field(
        default=None, pattern=r"^https?://[A-Za-z0-9._:\[\]-]+/\.well-known/mercure$"
    )
    """The hub's public URL: the audience (`aud`) of access tokens of Mercure 1.0, none of which is
    taken without it, and the base of relative topics and URL patterns.
    """
    mercure_subscriptions: bool = False
    """Publish subscriptions as events, and list them."""
