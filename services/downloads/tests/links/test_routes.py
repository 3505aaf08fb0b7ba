"""Links, on a real server: no link gets further than it may."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest

from eddyline.errors import SettingsError
from eddyline.testing import Running, Stream, eventually
from eddyline_downloads.app import create_app
from eddyline_downloads.settings import DownloadsSettings

Serve = Callable[..., Any]
Fetch = Callable[..., Awaitable[Stream]]
KEY, LINK_KEY = "k" * 32, "l" * 32
SHARED = {"auth_key": KEY, "link_keys": LINK_KEY, "redis_url": "memory://"}
ALL = "downloads:read downloads:share"


@pytest.fixture(params=["memory", "redis"])
def shared(request: pytest.FixtureRequest) -> dict[str, str]:
    if request.param == "memory":
        return SHARED
    return {**SHARED, "redis_url": request.getfixturevalue("redis_url")}


def bearer(scope: str = ALL) -> dict[str, str]:
    token = jwt.encode({"exp": 2**32, "scope": scope}, KEY, "HS256")
    return {"Authorization": f"Bearer {token}"}


async def make(fetch: Fetch, run: Running, scope: str = ALL, **link: Any) -> Any:
    stream = await fetch(
        f"{run.url}/download-links",
        method="POST",
        headers=bearer(scope),
        body=json.dumps(link).encode(),
    )
    answer = await stream.json()
    assert stream.status == 201, answer
    host = urlsplit(run.url).hostname  # the tests' clients send no port
    assert answer["url"].startswith(f"http://{host}/links/")
    return {**answer, "url": run.url + urlsplit(answer["url"]).path}


async def status(fetch: Fetch, url: str, **options: Any) -> int:
    return (await fetch(url, **options)).status


async def test_a_link_reads_its_file_without_a_token(serve: Serve, fetch: Fetch) -> None:
    async with serve(**SHARED) as run:
        link = await make(fetch, run, path="sub/b.txt")
        assert link["url"].endswith("/b.txt")
        stream = await fetch(link["url"])
        assert (stream.status, await stream.body()) == (200, b"bb")
        assert stream.headers["content-disposition"] == 'attachment; filename="b.txt"'
        assert stream.headers["referrer-policy"] == "no-referrer"
        assert stream.headers["cache-control"] == "private, no-cache"
        assert stream.headers["accept-ranges"] == "bytes"
        part = await fetch(link["url"], headers={"Range": "bytes=1-"})
        assert (part.status, await part.body()) == (206, b"b")
        base = link["url"].rpartition("/")[0]
        for other in ("a.txt", "", "sub/b.txt", "..%2f..%2fsecret", "b.txt/"):
            assert await status(fetch, f"{base}/{other}") in (400, 404)
        assert await status(fetch, link["url"][:-9] + "x/b.txt") == 404


async def test_a_link_of_a_folder_reads_all_beneath_it(serve: Serve, fetch: Fetch) -> None:
    async with serve(**SHARED) as run:
        link = await make(fetch, run, prefix="sub/", disposition="inline")
        page = await (await fetch(link["url"])).body()
        assert b'href="b.txt"' in page
        assert b'href="deep/"' in page
        assert await (await fetch(link["url"] + "deep/c.txt")).body() == b"ccc"
        stream = await fetch(link["url"] + "b.txt")
        assert stream.headers["content-disposition"].startswith("inline")
        assert stream.headers["content-security-policy"] == "sandbox"
        for other in ("../a.txt", "%2e%2e/a.txt", "../../secret", ".env", "far", "/a.txt"):
            assert await status(fetch, link["url"] + other) in (400, 404)


@pytest.mark.parametrize(
    ("scope", "link", "expected"),
    [
        ("downloads:read", {"path": "a.txt"}, 403),
        ("downloads:share", {"path": "a.txt"}, 403),
        ("downloads:read:sub/* downloads:share:sub/*", {"path": "a.txt"}, 403),
        ("downloads:read:sub/* downloads:share:sub/*", {"path": "sub/b.txt"}, 201),
        ("downloads:read:sub/* downloads:share:sub/*", {"prefix": "sub/"}, 201),
        ("downloads:read:sub/*.txt downloads:share", {"prefix": "sub/"}, 403),
        ("downloads:read:sub/deep/* downloads:share", {"prefix": "sub/"}, 403),
    ],
)
async def test_nobody_shares_more_than_they_may_read(
    serve: Serve, fetch: Fetch, scope: str, link: dict[str, str], expected: int
) -> None:
    async with serve(**SHARED) as run:
        body = json.dumps(link).encode()
        url = f"{run.url}/download-links"
        assert await status(fetch, url, method="POST", headers=bearer(scope), body=body) == expected
        assert await status(fetch, url, method="POST", body=body) == 401


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ({}, 400),
        ({"path": "a.txt", "prefix": "sub/"}, 400),
        ({"path": "nothing"}, 404),
        ({"path": "sub"}, 404),
        ({"path": "../secret"}, 400),
        ({"path": ".env"}, 404),
        ({"prefix": "sub"}, 400),
        ({"prefix": "/"}, 400),
        ({"prefix": ""}, 400),
        ({"path": "a.txt", "seconds": 0}, 422),
        ({"path": "a.txt", "seconds": 10**9}, 422),
        ({"path": "a.txt", "downloads": 0}, 422),
        ({"path": "a.txt", "expires": 3}, 422),
    ],
)
async def test_a_bad_link_is_not_made(
    serve: Serve, fetch: Fetch, link: dict[str, Any], expected: int
) -> None:
    async with serve(**SHARED) as run:
        url, body = f"{run.url}/download-links", json.dumps(link).encode()
        found = await status(fetch, url, method="POST", headers=bearer(), body=body)
        assert found == expected or {found, expected} == {400, 422}


async def test_a_link_that_was_revoked_is_gone(
    serve: Serve, fetch: Fetch, shared: dict[str, str]
) -> None:
    async with serve(**shared) as run:
        one, other = [await make(fetch, run, path="a.txt") for _ in range(2)]
        url = f"{run.url}/download-links/{one['id']}"
        assert await status(fetch, url, method="DELETE", headers=bearer("downloads:read")) == 403
        assert await status(fetch, one["url"]) == 200
        assert await status(fetch, url, method="DELETE", headers=bearer()) == 204
        for method in ("GET", "HEAD"):
            assert await status(fetch, one["url"], method=method) == 410
        assert await status(fetch, other["url"]) == 200


async def test_a_link_is_good_for_so_many_downloads(
    serve: Serve, fetch: Fetch, shared: dict[str, str]
) -> None:
    async with serve(**shared) as run:
        link = await make(fetch, run, path="a.txt", downloads=3)
        assert await status(fetch, link["url"], method="HEAD") == 200
        found = await asyncio.gather(*(status(fetch, link["url"]) for _ in range(8)))
        assert sorted(found) == [200] * 3 + [410] * 5
        part = {"Range": "bytes=0-0"}
        assert await status(fetch, link["url"], headers=part) == 410


async def test_a_link_of_yesterday_is_gone(
    serve: Serve, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = time.time
    monkeypatch.setattr("eddyline_downloads.links.routes.time", lambda: clock() - 24 * 3600)
    async with serve(**SHARED) as run:
        link = await make(fetch, run, path="a.txt", seconds=3600)
        stream = await fetch(link["url"])
        assert (stream.status, (await stream.json())["title"]) == (410, "Gone")


async def test_without_a_key_there_are_no_links_and_without_redis_no_ends(
    serve: Serve, fetch: Fetch
) -> None:
    async with serve(auth_key=KEY) as run:
        url, body = f"{run.url}/download-links", b'{"path": "a.txt"}'
        assert await status(fetch, url, method="POST", headers=bearer(), body=body) == 404
        assert await status(fetch, f"{run.url}/links/x/a.txt") == 404
    async with serve(auth_key=KEY, link_keys=LINK_KEY) as run:
        link = await make(fetch, run, path="a.txt")
        assert await status(fetch, link["url"]) == 200
        url = f"{run.url}/download-links"
        body = b'{"path": "a.txt", "downloads": 1}'
        assert await status(fetch, url, method="POST", headers=bearer(), body=body) == 400
        url = f"{url}/{link['id']}"
        assert await status(fetch, url, method="DELETE", headers=bearer()) == 400


async def test_no_log_has_a_link(
    serve: Serve, fetch: Fetch, capfd: pytest.CaptureFixture[str]
) -> None:
    logged: list[str] = []

    def lines(text: str) -> bool:
        logged.append(capfd.readouterr().err)
        return text in "".join(logged)

    async with serve(**SHARED) as run:
        link = await make(fetch, run, path="a.txt")
        await (await fetch(link["url"])).body()
        await status(fetch, link["url"].replace("a.txt", "b.txt"))
        await eventually(lambda: lines("/links/.../b.txt"))
    assert "/links/.../a.txt" in "".join(logged)
    assert urlsplit(link["url"]).path.split("/")[2] not in "".join(logged)


def test_workers_that_share_nothing_are_refused(tmp_path: Any) -> None:
    settings = DownloadsSettings(store=str(tmp_path), redis_url="memory://", workers=2)
    with pytest.raises(SettingsError, match="EDDYLINE_WORKERS=2, and DOWNLOADS_REDIS_URL"):
        create_app(settings)
