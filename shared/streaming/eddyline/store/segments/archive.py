"""Records of closed segments in an object store: their logs stay on the disk."""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from eddyline.errors import SettingsError, Unavailable

#: A read that waits for longer is of no use to its client, and comes again.
_PATIENCE = {"retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=5)}}


class Archive:
    """An object store that closed segments are moved to, and read from by ranges.

    `url`: `s3://bucket/prefix`, `gs://…`, `az://…`, `file:///…`. Credentials and endpoints come
    from the environment, as `obstore` reads them (`AWS_ENDPOINT`, …). Its methods wait: call them
    in threads. They raise Unavailable where the object store fails.
    """

    def __init__(self, url: str) -> None:
        try:
            import obstore
            from obstore import store
        except ModuleNotFoundError as error:
            text = "an archive of streams needs the module 'obstore': install eddyline[archive]"
            raise SettingsError(text) from error
        scheme = url.partition("://")[0]
        try:
            options: dict[str, Any] = {"mkdir": True} if scheme == "file" else _PATIENCE
            self._store: Final = store.from_url(url, **options)
        except Exception as error:
            raise SettingsError(f"the archive's URL, of the scheme {scheme!r}: {error}") from error
        self._obstore: Final = obstore

    def put(self, name: str, path: Path) -> None:
        """Copies a file; it is whole under its name, or not there at all."""
        try:
            self._obstore.put(self._store, name, path)
            size = self._obstore.head(self._store, name)["size"]
        except Exception as error:
            raise _away(error) from error
        if size != path.stat().st_size:
            raise Unavailable(f"the archive of streams: {name} has {size} bytes", 30.0)

    def read(self, name: str, offset: int, size: int, whole: int) -> bytes:
        """A range of an object, which has `whole` bytes. Raises FileNotFoundError."""
        if not size:
            return b""
        try:
            if size == whole:
                # Servers may answer a range that is all by 200 (RFC 9110, section 14.2).
                return bytes(self._obstore.get(self._store, name).bytes())
            return bytes(self._obstore.get_range(self._store, name, start=offset, length=size))
        except FileNotFoundError:
            raise
        except Exception as error:
            raise _away(error) from error

    def delete(self, name: str) -> None:
        """Removes an object, if it is there."""
        try:
            self._obstore.delete(self._store, name)
        except FileNotFoundError:
            pass
        except Exception as error:
            raise _away(error) from error

    def delete_all(self, folder: str) -> None:
        """Removes all objects whose names begin with a folder's."""
        try:
            for page in self._obstore.list(self._store, folder):
                self._obstore.delete(self._store, [each["path"] for each in page])
        except Exception as error:
            raise _away(error) from error


def _away(error: Exception) -> Unavailable:
    """The first line of an error of `obstore`; the others are of its makers' interest."""
    return Unavailable(f"the archive of streams: {str(error).partition(chr(10))[0]}", 5.0)


def archived_under(key: str, life: str) -> str:
    """The folder of one stream's objects: a key that is used again has another."""
    return f"{digest_of(key)}-{life}"


def digest_of(key: str) -> str:
    """A name of a file for any text."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:40]
