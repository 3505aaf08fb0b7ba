"""Settings of the sample service: `SAMPLE_*`, beside those of every service."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from eddyline.service.settings import Settings


class SampleSettings(Settings):
    """`interval` is in seconds; a stream ends with the number `last`."""

    model_config = SettingsConfigDict(env_prefix="SAMPLE_")

    interval: float = Field(default=0.1, ge=0)
    last: int = Field(default=1000, ge=1)
