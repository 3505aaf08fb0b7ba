"""Pages of other origins, on a hub that asks for no token: they change nothing.

The rules are those of https://pkg.go.dev/net/http#CrossOriginProtection.
"""

import pytest

from eddyline.testing import fetch

PAGE = "http://127.0.0.1:9"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}

#: Requests that a page can send without a preflight, and a form can post.
CHANGES = [
    ("/events", b'{"topic": "csrf"}', {}),
    ("/events", b'{"topic": "csrf"}\n', {"Content-Type": "application/x-ndjson"}),
    ("/events/kick", b'{"subject": "alice"}', JSON),
    ("/events/tickets", b"", {}),
    ("/.well-known/mercure", b"topic=csrf", FORM),
]


@pytest.mark.parametrize(
    "said",
    [
        {"Origin": PAGE},
        {"Origin": "null"},
        {"Origin": PAGE, "Sec-Fetch-Site": "cross-site"},
        {"Origin": PAGE, "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_a_foreign_page_changes_nothing(hub, asked, said):
    for path, body, headers in CHANGES:
        async with await fetch(
            hub.url + path, method="POST", body=body, headers=headers | said
        ) as answer:
            assert answer.status == 403, (path, await answer.body())
    _, history = await asked(hub, "/events/history")
    assert history["events"] == []


async def test_a_page_of_its_own_and_other_clients_may(hub_of):
    async with hub_of(cors_origins=("http://trusted.example",)) as hub:
        own = f"http://127.0.0.1:{hub.port}"
        for said in (
            {},
            {"Origin": own, "Host": own.removeprefix("http://")},
            {"Origin": "http://other.example", "Sec-Fetch-Site": "same-origin"},
            {"Sec-Fetch-Site": "none"},
            {"Origin": "http://trusted.example", "Sec-Fetch-Site": "cross-site"},
        ):
            for path, body, headers in CHANGES:
                async with await fetch(
                    hub.url + path, method="POST", body=body, headers=headers | said
                ) as answer:
                    assert answer.status < 300, (path, said, await answer.body())


async def test_a_token_is_enough(hub_of, publish, bearer, key):
    """No page has a token that it was not given."""
    async with hub_of(auth_key=key) as hub:
        headers = bearer("events:publish") | {"Origin": PAGE, "Sec-Fetch-Site": "cross-site"}
        assert (await publish(hub, {"topic": "a"}, headers))[0] == 201


@pytest.mark.parametrize("given", ["text/plain", "text/html", "application/x-www-form-urlencoded"])
async def test_another_type_is_no_event_and_no_kick(hub, given):
    """RFC 9110 section 15.5.16. A page can send these three without a preflight."""
    for path in ("/events", "/events/kick"):
        async with await fetch(
            hub.url + path, method="POST", body=b'{"topic": "a"}', headers={"Content-Type": given}
        ) as answer:
            assert answer.status == 415
            assert given in (await answer.json())["detail"]


async def test_an_encoded_body_is_told(hub):
    for path, headers in (("/events", JSON), ("/.well-known/mercure", FORM)):
        async with await fetch(
            hub.url + path,
            method="POST",
            body=b"\x1f\x8b",
            headers=headers | {"Content-Encoding": "gzip"},
        ) as answer:
            assert answer.status == 415
            assert "gzip" in (await answer.json())["detail"]


async def test_a_name_that_was_rebound_reads_no_metrics(hub):
    """To its browser the page is same-origin (DNS rebinding)."""
    for path in ("/metrics", "/events"):
        async with await fetch(hub.url + path, headers={"Host": "evil.example"}) as answer:
            assert answer.status == 403
