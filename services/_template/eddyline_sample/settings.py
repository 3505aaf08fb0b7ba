"""Settings of the sample service: `SAMPLE_*`, beside those of every service."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from eddyline.service.settings import Settings


class SampleSettings(Settings):
    """The string below a field is its entry in the reference (`make docs`)."""

    model_config = SettingsConfigDict(env_prefix="SAMPLE_")

    interval: float = Field(default=0.1, ge=0)
    """Seconds between two numbers."""
    last: int = Field(default=1000, ge=1)
    """The number that a stream ends with."""
