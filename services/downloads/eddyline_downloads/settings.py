"""Settings of the downloads service: `DOWNLOADS_*`, beside those of every service."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from eddyline.service.settings import Settings


class DownloadsSettings(Settings):
    """`store` is a folder: `file:///srv/files`, or a path. `demo_file` is a path in it."""

    model_config = SettingsConfigDict(env_prefix="DOWNLOADS_")

    store: str = "./files"
    """The folder of the files: a path, or `file:///srv/files`."""
    demo: bool = False
    """Make demo files in the store at the start, unless they are there."""
    demo_file: str = "file.pdf"
    """The file that `GET /static` answers, without a path."""

    digests: str = "memory"
    """Where SHA-256 of files are kept, from which their ETags are made: `memory`, or a file of
    SQLite, a path, which is there after a restart and for each process of the machine. `off`: none
    is computed, and a copy of a file has another ETag.
    """

    index: str = ""
    """The file that `/static/FOLDER/` shows, as `index.html`; by default a list of the folder."""
    precompressed: bool = False
    """Send `NAME.zst`, `NAME.br` or `NAME.gz` in place of NAME to clients that take it, where there
    is one that is not older.
    """
    immutable: Annotated[tuple[str, ...], NoDecode] = ()
    """Paths of files that never change, such as those whose names carry a hash, by commas:
    `assets/*`. Caches keep them for a year, and ask no more.
    """
    scripts: Annotated[tuple[str, ...], NoDecode] = ()
    """Paths of pages whose scripts may run, such as reports of coverage, separated by commas:
    `reports/*`. Each has an origin of its own, without the rights of this one.
    """

    link_keys: SecretStr | None = None
    """Secrets that sign links, of 32 bytes or more, separated by commas. The first one signs, and
    links of all of them are good. Without one there are no links.
    """
    redis_url: SecretStr | None = None
    """Where the ends of links are kept: that one was revoked, and how often one was used."""

    @field_validator("immutable", "scripts", mode="before")
    @classmethod
    def _patterns_by_commas(cls, value: Any) -> Any:
        return value.replace(",", " ").split() if isinstance(value, str) else value

    @field_validator("index")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if "/" in value or "\0" in value or value.startswith("."):
            raise ValueError("expected the name of a file, such as index.html")
        return value

    @field_validator("digests")
    @classmethod
    def _is_a_place(cls, value: str) -> str:
        if not value or "\0" in value or "://" in value or value.endswith("/"):
            raise ValueError("expected memory, off, or the path of a file")
        return value

    @field_validator("store")
    @classmethod
    def _is_a_folder(cls, value: str) -> str:
        folder_of(value)
        return value

    @property
    def folder(self) -> Path:
        return folder_of(self.store)


def folder_of(store: str) -> Path:
    """The folder that a store's URL or path names; raises ValueError."""
    url = urlsplit(store)
    if not store or "\0" in store:
        raise ValueError("expected a folder: file:///srv/files, or a path")
    if url.scheme == "s3":
        raise ValueError("S3 stores are not supported yet: expected file:///srv/files, or a path")
    if not url.scheme:
        return Path(store)
    if url.scheme != "file" or url.netloc not in ("", "localhost") or not url.path[1:]:
        raise ValueError("expected file:///srv/files (three slashes), or a path")
    return Path(unquote(url.path))
