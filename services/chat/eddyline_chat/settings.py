"""Settings of the chat service: `CHAT_*`, beside those of every service."""

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from eddyline.service.settings import Settings
from eddyline_chat.client.origin import Origin

#: The upstream that needs no server: it simulates answers.
DEMO = "demo"

#: In place of a store's URL: answers are not kept.
NO_STORE = "none"

#: Finish reasons of answers that are none, or a part: they can't be set to mean whole ones.
_NEVER_WHOLE = frozenset(
    (
        "length",
        "model_length",
        "max_tokens",
        "content_filter",
        "error",
        "tool_calls",
        "function_call",
    )
)


class ChatSettings(Settings):
    """`upstream` is `demo`, or the base URL of a server with OpenAI's API, such as `http://host:8000/v1`."""

    model_config = SettingsConfigDict(env_prefix="CHAT_")

    upstream: str = DEMO
    """`demo` (simulated answers), or the URL of a server with OpenAI's API."""
    model: Annotated[str, Field(validate_default=True)] = ""
    """The model to ask there."""
    api_key: SecretStr | None = None
    """The key to ask with."""

    connect_timeout: float = Field(default=5.0, gt=0)
    """Time in which a connection to the upstream must be there."""
    first_token_timeout: float = Field(default=600.0, gt=0)
    """Time that the upstream may take for its first token. Each token of its reasoning begins the
    time anew; comments neither do that nor end the request.
    """
    idle_timeout: float = Field(default=60.0, gt=0)
    """Time that the upstream may take for each later token."""

    finish_reasons: Annotated[tuple[str, ...], NoDecode] = ()
    """Finish reasons that say that an answer is whole, beside `stop`, separated by commas:
    `eos,end_turn`.
    """
    usage: bool = True
    """Whether the upstream is asked for the usage of each answer (`stream_options`); servers that
    refuse the field need `false`.
    """
    done_alone: bool = False
    """Whether `[DONE]` without any finish reason says that an answer is whole. Servers that are cut
    off send it, too.
    """

    head_after: float = Field(default=5.0, gt=0)
    """Silence after which the head of a response goes out. Until then an error has its status."""
    heartbeat: float = Field(default=10.0, gt=0)
    """Silence after which a stream of events gets a comment."""

    store: SecretStr = SecretStr("memory://")
    """The URL of the store of answers: `memory://`, whose answers can be rejoined in the process
    that makes them alone, `redis://host:6379/0`, or `none`: no answer can be rejoined.
    """
    answer_ttl: float = Field(default=600.0, gt=0)
    """Time for which an answer is kept after its last use."""
    answer_max_bytes: int = Field(default=8 * 1024 * 1024, gt=0)
    """The most bytes that are kept of one answer."""
    lease: float = Field(default=10.0, gt=0)
    """Time after which the answers of a process that was killed are ended."""
    grace: float = Field(default=3.0, ge=0)
    """Time in which a client that has left can rejoin its answer, before it is cancelled."""
    orphan: float = Field(default=600.0, gt=0)
    """Time for which an answer goes on without its client (`X-On-Disconnect: continue`)."""

    message_limit: int = Field(default=32 * 1024, gt=0)
    """The most bytes of a message, in UTF-8."""
    request_limit: int = Field(default=8 * 1024 * 1024, gt=0)
    """The most bytes of a request to `/v1`: all messages of a conversation, with their images."""

    @field_validator("upstream")
    @classmethod
    def _demo_or_url(cls, value: str) -> str:
        if value == DEMO:
            return value
        try:
            Origin.from_url(value)
        except ValueError as error:
            raise ValueError(f"{error}, or `demo`") from None
        url = urlsplit(value)
        if "@" in url.netloc or url.query or url.fragment:
            raise ValueError("expected a bare URL: the key goes into CHAT_API_KEY")
        return value

    @field_validator("api_key")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().isprintable():
            raise ValueError("it holds a line end, or another character that no header may have")
        return value

    @field_validator("model")
    @classmethod
    def _named(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.data.get("upstream", DEMO) != DEMO:
            raise ValueError("an upstream other than `demo` must be told which model to run")
        return value

    @field_validator("finish_reasons", mode="before")
    @classmethod
    def _reasons_by_commas(cls, value: Any) -> Any:
        return value.replace(",", " ").split() if isinstance(value, str) else value

    @field_validator("finish_reasons")
    @classmethod
    def _can_be_whole(cls, reasons: tuple[str, ...]) -> tuple[str, ...]:
        for reason in reasons:
            if reason in _NEVER_WHOLE:
                raise ValueError(f"{reason!r} says that an answer is not whole: leave it out")
        return reasons
