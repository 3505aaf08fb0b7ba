"""The settings of the events service: EVENTS_*."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from eddyline.journal.base import KEY_AGE
from eddyline.service.settings import Settings


class EventsSettings(Settings):
    """Sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_prefix="EVENTS_")

    #: Where the journal is; without it, it is in the memory of this one process.
    redis_url: SecretStr | None = None
    #: Hubs on one Redis know nothing of each other.
    hub: str = Field(default="events", pattern=r"^[A-Za-z0-9._-]{1,64}$")

    #: The bounds of the journal: a client that was away for longer gets a reset.
    journal_bytes: int = Field(default=64 * 1024 * 1024, gt=0)
    journal_entries: int = Field(default=1_000_000, gt=0)  # Redis only
    journal_age: float = Field(default=3600.0, gt=0)
    #: How long an idempotency key is remembered, beside the journal: 200 bytes for each.
    key_age: float = Field(default=KEY_AGE, ge=60)

    # Publishing. A rate of 0 is no limit.
    max_event_bytes: int = Field(default=256 * 1024, gt=0)
    max_batch_bytes: int = Field(default=4 * 1024 * 1024, gt=0)
    max_batch_events: int = Field(default=1000, gt=0)
    #: Events per second and principal, in each process.
    publish_rate: float = Field(default=0.0, ge=0)

    #: A subscriber that comes back within this time was never away.
    presence_grace: float = Field(default=5.0, ge=0)
    #: How long a kicked subject or token is refused: at least as long as tokens are valid.
    kick_seconds: float = Field(default=3600.0, gt=0)

    #: Publish the lesson's demo event each second, one for all processes of the hub.
    demo: bool = False

    # The Mercure protocol: see mercure/.
    #: With authentication on, let clients without a token read public topics.
    anonymous: bool = False
    #: The hub's public URL: the audience (`aud`) of access tokens of Mercure 1.0, none of which is
    #: taken without it, and the base of relative topics and URL patterns.
    mercure_url: str | None = Field(
        default=None, pattern=r"^https?://[A-Za-z0-9._:\[\]-]+/\.well-known/mercure$"
    )
    #: Whether subscriptions are published as events, and listed.
    mercure_subscriptions: bool = False
