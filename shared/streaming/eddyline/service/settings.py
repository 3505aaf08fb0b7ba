"""Settings: one frozen object per service, read once from the environment.

A service subclasses `Settings` and gives its own fields an `env_prefix`; the string below a field
is its entry in the reference (`make docs`). The fields here are the same for all services and are
read from `EDDYLINE_*` (`HOST`, `PORT` too, as the Makefile's users write them). An empty variable
counts as not set: `${EDDYLINE_AUTH_KEY:-}` becomes one.
"""

import ipaddress
import os
import re
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NoReturn, Self, cast

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings.exceptions import SettingsError as UndecodableError

from eddyline.errors import SettingsError
from eddyline.policy import StreamPolicy

#: uvicorn's code for a failed start, too: supervisors stop instead of restarting for ever.
EXIT_BAD_SETTINGS = 3

#: As browsers write it: lower case, no path, no slash at the end.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[^\s/?#@:A-Z]+)(:[0-9]{1,5})?\Z")

_SHARED = "EDDYLINE_"
#: Variables of this prefix that others read: cli.py; clients. Load tests read `EVENTS_URL`.
_ELSEWHERE = ("EDDYLINE_APP", "EDDYLINE_TOKEN", "EDDYLINE_TOKEN_FILE", "EDDYLINE_URL")

#: Variables that Kubernetes sets in every pod for a Service of our name ("environment variables"
#: in its page on Services): EVENTS_SERVICE_HOST=10.0.0.7, EVENTS_PORT=tcp://10.0.0.7:80.
_SERVICE_LINK = re.compile(
    r"\w+_(SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT=(tcp|udp|sctp)://"
    r"|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=)"
)


def shared(name: str, *more: str, **options: Any) -> Any:
    """A field read from `EDDYLINE_<name>`, or from one of `more`, in every service."""
    return Field(validation_alias=AliasChoices(f"EDDYLINE_{name}", *more), **options)


class Settings(BaseSettings):
    """The settings of every service. Times are in seconds, sizes in bytes."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        frozen=True,
        populate_by_name=True,
        extra="ignore",
        env_ignore_empty=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    host: str = shared("HOST", "HOST", default="127.0.0.1")
    """Address to listen on."""
    port: int = shared("PORT", "PORT", default=8000, ge=0, le=65535)
    """Port to listen on."""

    forwarded_allow_ips: str = shared(
        "FORWARDED_ALLOW_IPS", "FORWARDED_ALLOW_IPS", default="127.0.0.1,::1"
    )
    """Proxies whose `X-Forwarded-For` and `-Proto` count: addresses, networks, or `*`."""
    # It should be the proxy that closes it: a client that sends a request meanwhile gets a 502.
    keep_alive: int = shared("KEEP_ALIVE", default=75, ge=1)
    """How long an idle connection is kept for its next request."""

    # Requests on their way in: see server/intake.py.
    target_bytes: int = shared("TARGET_BYTES", default=8 * 1024, ge=256)
    """A request's target, its path and query: a longer one is 414."""
    head_bytes: int = shared("HEAD_BYTES", default=32 * 1024, ge=1024)
    """A request's head: a longer one is 431."""
    head_lines: int = shared("HEAD_LINES", default=100, ge=10)
    """The lines of a head: more are 431."""
    head_timeout: float = shared("HEAD_TIMEOUT", default=10.0, gt=0)
    """In which a head must be there; then 408."""
    body_timeout: float = shared("BODY_TIMEOUT", default=10.0, gt=0)
    """The longest silence between two pieces of a body; then 408."""
    limit_waiting: int = shared("LIMIT_WAITING", default=2000, ge=1)
    """Connections that wait for a request or the rest of one, half of the open files at most.
    Beyond it the longest silent ones are ended.
    """

    # Access: see access.py.
    auth: Literal["auto", "on", "off"] = shared("AUTH", default="auto")
    """`on`, `off`, or `auto`: off without a key, on loopback alone."""
    auth_key: SecretStr | None = shared("AUTH_KEY", default=None)
    """Secret that signs and verifies HS256 tokens."""
    auth_previous_key: SecretStr | None = shared("AUTH_PREVIOUS_KEY", default=None)
    """Secret before that one, while its last tokens live: they are accepted, too."""
    auth_key_file: Path | None = shared("AUTH_KEY_FILE", default=None)
    """File with that secret, or with a public key in PEM."""
    auth_jwks: str | None = shared("AUTH_JWKS", default=None)
    """URL of a JSON Web Key Set, where somebody else signs the tokens."""
    auth_issuer: str | None = shared("AUTH_ISSUER", default=None)
    """Tokens of another issuer are refused."""
    auth_audience: str | None = shared("AUTH_AUDIENCE", default=None)
    """Tokens for another audience are refused."""

    # See browser/cors.py.
    cors_origins: Annotated[tuple[str, ...], NoDecode] = shared("CORS_ORIGINS", default=())
    """Origins whose pages may read the answers of every service, and publish by Mercure's cookie,
    separated by commas: `https://app.example`. `*`: any, without cookies.
    """

    # Admission: see admission.py.
    limit_streams: int = shared("LIMIT_STREAMS", default=15_000, ge=0)
    """Streams that may be open in a process; 0: no limit."""
    limit_streams_per_principal: int = shared("LIMIT_STREAMS_PER_PRINCIPAL", default=0, ge=0)
    """Streams that a token's subject may have open in a process; 0: no limit."""
    limit_streams_per_address: int = shared("LIMIT_STREAMS_PER_ADDRESS", default=0, ge=0)
    """Streams that an address (IPv6: a /64) may have open in a process; 0: no limit."""

    # The life of a stream: see policy.py.
    heartbeat: float = shared("HEARTBEAT", default=15.0, gt=0)
    """Silence after which a comment is sent, and with it the cursor (an `id:` line)."""
    max_age: float = shared("MAX_AGE", default=3600.0, gt=0)
    """Age at which a stream is ended, with jitter; the client resumes."""
    write_timeout: float = shared("WRITE_TIMEOUT", default=60.0, gt=0)
    """How long a peer may take nothing before it is cut off (event streams: 75 s at most)."""
    flush_interval: float = shared("FLUSH_INTERVAL", default=0.005, ge=0)
    """Under load, events of this time are written together."""

    # Stopping: see drain.py.
    drain_notice: float = shared("DRAIN_NOTICE", default=0.0, ge=0)
    """Time from a failing `/readyz` to the first end of a stream."""
    drain_window: float = shared("DRAIN_WINDOW", default=20.0, ge=0)
    """Time over which the ends of streams are spread."""

    # Told by cli.py.
    workers: int = shared("WORKERS", default=1, ge=1)
    """Processes that serve together (`--workers` sets it); events takes several with Redis only."""
    max_requests: int = shared("MAX_REQUESTS", default=0, ge=0)
    """Requests after which gunicorn replaces a worker; 0: never."""

    log_level: Literal["debug", "info", "warning", "error"] = shared("LOG_LEVEL", default="info")
    """The least important lines that are logged."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # Only code may use a field's own name: EVENTS_PORT=tcp://… of Kubernetes is no port.
        env_settings.config = {**env_settings.config, "populate_by_name": False}
        # Nor is EDDYLINE_PORT=tcp://…, which is in all pods beside a Service `eddyline`.
        source = cast(EnvSettingsSource, env_settings)
        source.env_vars = {
            name: value
            for name, value in source.env_vars.items()
            if not _SERVICE_LINK.match(f"{name.upper()}={value}")
        }
        return init_settings, source

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        for network in value.split(",") if value != "*" else ():
            ipaddress.ip_network(network.strip())
        return value

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _by_commas(cls, value: Any) -> Any:
        return value.replace(",", " ").split() if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if origin != "*" and _ORIGIN.match(origin) is None:
                raise ValueError(f"{origin!r} is no origin: expected https://host[:port], or *")
        return origins

    @property
    def policy(self) -> StreamPolicy:
        """The limits of a stream's life."""
        return StreamPolicy(self.heartbeat, self.max_age, self.write_timeout, self.flush_interval)

    @property
    def on_loopback(self) -> bool:
        """Whether `host` can be reached from this machine only."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @classmethod
    def read(cls) -> Self:
        """The settings from the environment.

        Raises SettingsError that names each bad value, and each variable that has the prefix of
        settings but is none: a misspelt one.
        """
        complaints = [_unknown(cls, variable) for variable in _strangers(cls)]
        try:
            settings = cls()
        except ValidationError as error:
            complaints += [_complaint(cls, each) for each in error.errors()]
        except UndecodableError as error:
            complaints.append(_undecodable(cls, error))
        if complaints:
            raise SettingsError("; ".join(complaints))
        return settings

    def __str__(self) -> str:
        """All fields, secrets hidden."""
        return " ".join(f"{name}={getattr(self, name)}" for name in type(self).model_fields)


def _strangers(cls: type[Settings]) -> list[str]:
    """The variables that are set, and that nothing reads though they begin as settings do."""
    prefixes = (_SHARED, _prefix(cls) or _SHARED)
    known = {*_known(cls), *_ELSEWHERE, f"{_prefix(cls)}URL"}
    return [
        name
        for name, value in sorted(os.environ.items())
        if value
        and name.upper().startswith(prefixes)
        and name.upper() not in known
        and not _SERVICE_LINK.match(f"{name}={value}")
    ]


def _unknown(cls: type[Settings], variable: str) -> str:
    """The fault, without the value: that may be a secret under a misspelt name."""

    def rest(name: str) -> str:  # prefixes are alike in any case
        return name.removeprefix(_prefix(cls)).removeprefix(_SHARED)

    known = {rest(name): name for name in reversed(_known(cls))}
    nearest = get_close_matches(rest(variable.upper()), known, 1)
    return f"{variable}: no such setting" + "".join(f"; did you mean {known[n]}?" for n in nearest)


def _known(cls: type[Settings]) -> list[str]:
    return [name for field in cls.model_fields for name in _variables(cls, field)]


def _complaint(cls: type[Settings], error: Any) -> str:
    location = str(error["loc"][0]) if error["loc"] else "settings"
    variable, field = _variable(cls, location)
    secret = field is not None and "Secret" in str(field.annotation)
    value = "(hidden)" if secret else repr(os.environ.get(variable, error.get("input")))
    return f"{variable}={value}: {error['msg']}"


def _undecodable(cls: type[Settings], error: UndecodableError) -> str:
    # Only its text says which field it was; the reason is in the error that it came from.
    name = re.search(r'field "(\w+)"', str(error))
    variable, _ = _variable(cls, name[1] if name else "settings")
    return f"{variable}={os.environ.get(variable)!r}: {error.__cause__ or error}; expected JSON"


def _variable(cls: type[Settings], location: str) -> tuple[str, FieldInfo | None]:
    """The variable that a field was read from; pydantic names the first alias, set or not."""
    for name, field in cls.model_fields.items():
        variables = _variables(cls, name)
        if location == name or location.upper() in variables:
            return next((v for v in variables if os.environ.get(v)), variables[0]), field
    return location.upper(), None


def _variables(cls: type[Settings], field: str) -> list[str]:
    """The variables that a field is read from, the first that is set."""
    alias = cls.model_fields[field].validation_alias
    names = alias.choices if isinstance(alias, AliasChoices) else [_prefix(cls) + field]
    return [str(name).upper() for name in names]


def _prefix(cls: type[Settings]) -> str:
    return cls.model_config.get("env_prefix", "")


def exit_on_bad_settings(error: SettingsError) -> NoReturn:
    print(f"eddyline: {error.detail}", file=sys.stderr)
    raise SystemExit(EXIT_BAD_SETTINGS)
