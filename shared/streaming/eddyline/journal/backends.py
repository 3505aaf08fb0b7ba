"""Backends by the scheme of their URL, each imported when it is first asked for.

A scheme of your own is one line, before the first use of it:
`BACKENDS["nats"] = "my_package.nats:NatsBackend.from_url"`.
"""

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Any

from eddyline.errors import SettingsError
from eddyline.journal.base import Backend, Bounds

_REDIS = "eddyline.redis.backend:RedisBackend.from_url [redis]"

#: `module:callable`, and in brackets the extra of `eddyline` that installs its dependencies. The
#: callable is given the arguments of `backend_from_url`.
BACKENDS = {
    "memory": "eddyline.journal.memory:MemoryBackend.from_url",
    "redis": _REDIS,
    "rediss": _REDIS,
    "redis+sentinel": _REDIS,
    "rediss+sentinel": _REDIS,
    "redis+cluster": _REDIS,
    "rediss+cluster": _REDIS,
}


def backend_from_url(
    url: str, hub: str = "events", bounds: Bounds | None = None, **options: Any
) -> Backend:
    """The backend of a hub: `memory://`, `redis://host:6379/0`, or another scheme of `BACKENDS`.

    `hub`: its name; hubs on one server know nothing of each other. `options` go to the backend as
    they are: Redis's takes `meter`. Raises SettingsError, which never quotes the URL: it may hold
    a password.
    """
    factory = factory_of(url, BACKENDS, "backend")
    backend: Backend = factory(url, hub, bounds or Bounds(), **options)
    return backend


def factory_of(url: str, known: Mapping[str, str], thing: str) -> Any:
    """The callable of a URL's scheme, in a table like `BACKENDS`. `thing`: a word for errors.

    Raises SettingsError, which never quotes the URL.
    """
    scheme = url.partition("://")[0]
    if "://" not in url or scheme not in known:
        named = repr(scheme) if "://" in url else "none"
        expected = ", ".join(f"{each}://" for each in known)
        raise SettingsError(f"the {thing} URL's scheme: {named}, expected one of {expected}")
    where = EntryPoint(scheme, known[scheme], f"eddyline.{thing}s")
    try:
        return where.load()
    except ModuleNotFoundError as error:
        raise SettingsError(f"{scheme}:// needs {_missing(where, error)}") from error


def _missing(where: EntryPoint, error: ModuleNotFoundError) -> str:
    extras = ",".join(where.extras)
    how = f": install eddyline[{extras}]" if extras else ", which is not installed"
    return f"the module {error.name!r}{how}"
