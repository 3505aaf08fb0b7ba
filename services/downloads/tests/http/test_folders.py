"""A folder, as each kind of client asks for it."""

import hashlib
import time
from collections.abc import Awaitable, Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jwt
import pytest

from eddyline.testing import Stream

Serve = Callable[..., Any]
Fetch = Callable[..., Awaitable[Stream]]
KEY = "k" * 32


@pytest.fixture(autouse=True)
def an_hour_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of responses: files that a test has just written are old ones."""
    clock = time.time
    monkeypatch.setattr("eddyline.responses.file.time", lambda: clock() + 3600)


def links(page: bytes) -> list[str]:
    found: list[str] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value or "" for name, value in attrs if (tag, name) == ("a", "href"))

    Links().feed(page.decode())
    return found


@pytest.mark.parametrize("route", ["download", "static"])
async def test_a_folder_is_a_page_of_links(serve: Serve, fetch: Fetch, route: str) -> None:
    async with serve() as run:
        stream = await fetch(f"{run.url}/{route}/")
        assert stream.headers["content-type"] == "text/html; charset=utf-8"
        assert stream.headers["cache-control"] == "no-cache"
        assert "default-src 'none'" in stream.headers["content-security-policy"]
        names = ["a.txt", "folder/", "inside", "sub/", "up-and-back"]
        assert links(await stream.body()) == names
        stream = await fetch(f"{run.url}/{route}/sub/")
        assert links(await stream.body()) == ["../", "b.txt", "deep/"]
        stream = await fetch(f"{run.url}/{route}/sub/", method="HEAD")
        assert (stream.status, await stream.body()) == (200, b"")


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, "text/html"),
        ("*/*", "text/html"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("application/json", "application/json"),
        ("text/plain", "text/plain"),
        ("text/plain, text/html;q=0.5", "text/plain"),
        ("text/*;q=0.1, application/json;q=0.2", "application/json"),
        ("application/vnd.pypi.simple.v1+json, text/html; q=0.01", "text/html"),
        ("text/html;q=0, */*", "application/json"),
    ],
)
async def test_a_client_says_in_which_form(
    serve: Serve, fetch: Fetch, accept: str | None, media: str
) -> None:
    """RFC 9110 §12.5.1."""
    async with serve() as run:
        headers = {} if accept is None else {"Accept": accept}
        stream = await fetch(f"{run.url}/download/sub/", headers=headers)
        assert stream.headers["content-type"].partition(";")[0] == media
        assert stream.headers["vary"] == "Accept, Authorization"
        body = await stream.body()
        if media == "text/plain":
            assert body == b"b.txt\ndeep/\n"


async def test_a_form_that_there_is_not_is_named(serve: Serve, fetch: Fetch) -> None:
    async with serve() as run:
        stream = await fetch(f"{run.url}/download/", headers={"Accept": "image/png"})
        assert stream.status == 406
        assert "takes none of text/html, application/json" in (await stream.json())["detail"]


async def test_json_has_what_there_is_to_know(serve: Serve, fetch: Fetch) -> None:
    async with serve() as run:
        file = await fetch(f"{run.url}/download/sub/b.txt")
        headers = {"Accept": "application/json"}
        answer = await (await fetch(f"{run.url}/download/sub/", headers=headers)).json()
    assert answer["folder"] == "sub/"
    assert answer["cursor"] is None
    first, second = answer["entries"]
    assert second == {"name": "deep/"}
    assert (first["name"], first["size"], first["media_type"]) == ("b.txt", 2, "text/plain")
    assert first["etag"] == file.headers["etag"]
    assert first["sha256"] == hashlib.sha256(b"bb").hexdigest()


ODD = ["<script>alert(1)", "a&b", 'q"uote', "per%41cent", "#hash", "a?b", "c:d", "new\nline", "é"]


async def test_a_link_leads_to_its_file_whatever_the_name_is(
    serve: Serve, fetch: Fetch, folder: Path
) -> None:
    odd = folder / "odd"
    odd.mkdir()
    for name in ODD:
        (odd / name).write_text(name)
    async with serve() as run:
        page = await (await fetch(f"{run.url}/download/odd/")).body()
        assert b"<script>" not in page
        found = links(page)[1:]
        assert [unquote(link) for link in found] == sorted(ODD)
        for link in found:
            stream = await fetch(f"{run.url}/download/odd/{link}")
            assert await stream.body() == unquote(link).encode()


async def test_pages_of_many_entries_follow_each_other(
    serve: Serve, fetch: Fetch, folder: Path
) -> None:
    for n in range(7):
        (folder / "many" / f"f{n}").mkdir(parents=True)
        (folder / "many" / f"f{n}" / "x").touch()
        (folder / "many" / f"f{n}" / "y").touch()
        (folder / "many" / f"f{n}.txt").touch()
    expected = sorted(f"f{n}{end}" for n in range(7) for end in (".txt", "/"))
    for limit in (1, 2, 3, 14, 100):
        found, query = [], f"?limit={limit}"
        async with serve() as run:
            while query:
                page = await (await fetch(f"{run.url}/download/many/{query}")).body()
                *entries, last = [link for link in links(page) if link != "../"]
                query = f"{last}&limit={limit}" if last.startswith("?") else ""
                found += [*entries] if query else [*entries, last]
        assert found == expected


async def test_a_folder_has_the_files_that_the_caller_may_read(serve: Serve, fetch: Fetch) -> None:
    async with serve(auth_key=KEY) as run:
        for scope, names in (
            ("downloads:read", ["a.txt", "folder/", "inside", "sub/", "up-and-back"]),
            ("downloads:read:sub/deep/*", ["sub/"]),
            ("downloads:read:a*", ["a.txt"]),
            ("logs:read", []),
        ):
            token = jwt.encode({"exp": 2**32, "scope": scope}, KEY, "HS256")
            stream = await fetch(
                f"{run.url}/download/", headers={"Authorization": f"Bearer {token}"}
            )
            assert links(await stream.body()) == names
            assert stream.headers["cache-control"] == "private, no-cache"
        assert (await fetch(f"{run.url}/download/")).status == 401


@pytest.mark.parametrize(
    ("query", "detail"),
    [("?page=2", "no parameter 'page'"), ("?limit=0", "expected 1 to"), ("?limit=x", "limit=")],
)
async def test_a_bad_query_is_named(serve: Serve, fetch: Fetch, query: str, detail: str) -> None:
    async with serve() as run:
        stream = await fetch(f"{run.url}/download/{query}")
        assert stream.status == 400
        assert detail in (await stream.json())["detail"]


async def test_a_page_of_its_own_is_shown_by_setting(
    serve: Serve, fetch: Fetch, folder: Path
) -> None:
    (folder / "sub" / "index.html").write_text("<p>mine")
    async with serve(index="index.html", scripts="sub/*") as run:
        stream = await fetch(f"{run.url}/static/sub/")
        assert await stream.body() == b"<p>mine"
        # An origin of its own: its scripts have no right of this one.
        assert stream.headers["content-security-policy"] == "sandbox allow-scripts"
        assert (await fetch(f"{run.url}/static/empty/")).status == 404
        assert b"index.html" in await (await fetch(f"{run.url}/download/sub/")).body()
    async with serve() as run:
        stream = await fetch(f"{run.url}/static/sub/index.html")
        assert stream.headers["content-security-policy"] == "sandbox"


async def test_files_that_never_change_are_kept_by_setting(serve: Serve, fetch: Fetch) -> None:
    """RFC 8246."""
    async with serve(immutable="sub/*,x") as run:
        for path, value in (("sub/b.txt", "max-age=31536000, immutable"), ("a.txt", "no-cache")):
            assert (await fetch(f"{run.url}/static/{path}")).headers["cache-control"] == value
