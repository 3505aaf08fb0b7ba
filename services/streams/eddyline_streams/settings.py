"""Settings of the streams service: `STREAMS_*`, beside those of every service."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from eddyline.durable.reader import ReadPolicy
from eddyline.service.settings import Settings


class StreamsSettings(Settings):
    """Times are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="STREAMS_")

    store: SecretStr = SecretStr("memory://")
    """Where streams are kept: `memory://`, where they end with the process;
    `file:///var/lib/streams`; or `redis://host:6379`, for any number of processes.
    """
    write_bytes: int = Field(default=16 * 1024 * 1024, ge=1)
    """The most that one write may bring."""
    stream_bytes: int = Field(default=0, ge=0)
    """The most that one stream may hold: more is refused. 0: only the store's own bound holds."""
    write_rate: float = Field(default=0, ge=0)
    """Writes per second and principal. 0: any number."""
    piece_bytes: int = Field(default=1024 * 1024, ge=1)
    """About the most data of one answer: a client asks again for more."""
    long_poll: float = Field(default=15.0, gt=0)
    """How long a long poll waits for data."""
    sse: float = Field(default=60.0, gt=0)
    """How long a read by server-sent events lasts: its client comes back."""
    public_cache: bool = False
    """Whether shared caches may keep answers: only where everyone may read all streams."""

    @property
    def reading(self) -> ReadPolicy:
        return ReadPolicy(self.long_poll, self.sse, self.piece_bytes, self.public_cache)
