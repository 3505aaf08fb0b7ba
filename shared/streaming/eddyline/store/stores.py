"""Stores of streams by the scheme of their URL, each imported when it is first asked for.

A scheme of your own is one line, before the first use of it:
`STORES["s3"] = "my_package.s3:Store.from_url"`.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

from eddyline.errors import SettingsError
from eddyline.journal.backends import factory_of
from eddyline.store.base import StreamStore

_REDIS = "eddyline.redis.streams.store:RedisStore.from_url [redis]"

#: `module:callable`, and in brackets the extra of `eddyline` that installs its dependencies. The
#: callable is given the URL.
STORES = {
    "memory": "eddyline.store.memory:MemoryStore.from_url",
    "file": "eddyline.store.files.from_url:store_from_url",
    "redis": _REDIS,
    "rediss": _REDIS,
    "redis+sentinel": _REDIS,
    "rediss+sentinel": _REDIS,
    "redis+cluster": _REDIS,
    "rediss+cluster": _REDIS,
}


class RunnableStore(StreamStore, Protocol):
    """A store, which is used within `run()`."""

    def run(self) -> AbstractAsyncContextManager[None]:
        """The store's life. Raises SettingsError, Unavailable or UnknownFormat on entering."""


def store_from_url(url: str) -> RunnableStore:
    """The store of a URL: `memory://`, `file:///var/lib/streams`, or another scheme of `STORES`.

    Raises SettingsError, which never quotes the URL: it may hold a password.
    """
    factory = factory_of(url, STORES, "store")
    store: RunnableStore = factory(url)
    return store


def options_of(url: str, **known: type) -> dict[str, object]:
    """The parameters of a store's URL, each as its type. Raises SettingsError, naming it."""
    found: dict[str, object] = {}
    for name, text in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        if name not in known:
            expected = ", ".join(known) or "none"
            raise SettingsError(f"the store URL's parameter {name!r}: expected {expected}")
        try:
            found[name] = known[name](text)
        except ValueError:
            kind = known[name].__name__
            raise SettingsError(f"the store URL's {name}={text!r}: expected {kind}") from None
    return found
