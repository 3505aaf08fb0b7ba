"""CORS: pages of listed origins, and of no others."""

import pytest

from eddyline.testing import eventually, fetch, running
from eddyline_events.app import create_app
from eddyline_events.settings import EventsSettings

PAGE = "https://app.example"


async def test_without_a_list_nothing_is_said(hub):
    async with await fetch(hub.url + "/events?poll=1&timeout=0", headers={"Origin": PAGE}) as one:
        assert one.status == 200
        assert not [name for name in one.headers if name.startswith("access-control")]
    preflight = await fetch(hub.url + "/events", method="OPTIONS", headers={"Origin": PAGE})
    assert preflight.status == 405


@pytest.mark.parametrize("path", ["/events", "/events/history", "/events/subscribers/x"])
async def test_a_listed_origin_may_ask_by_every_way(hub_of, path):
    async with hub_of(cors_origins=(PAGE, "http://localhost:3000")) as hub:
        headers = {
            "Origin": PAGE,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "last-event-id",
        }
        async with await fetch(hub.url + path, method="OPTIONS", headers=headers) as answer:
            assert answer.status == 200
            assert answer.headers["access-control-allow-origin"] == PAGE
            assert answer.headers["access-control-allow-credentials"] == "true"
            allowed = answer.headers["access-control-allow-headers"].split(", ")
            assert {"authorization", "cache-control", "last-event-id", "content-type"} <= {*allowed}
            assert "idempotency-key" in allowed
            assert "DELETE" in answer.headers["access-control-allow-methods"]
            assert "Origin" in answer.headers["vary"].split(", ")


async def test_streams_errors_and_soft_refusals_can_be_read(hub_of, subscribed):
    async with hub_of(cors_origins=(PAGE,), limit_streams=1) as hub:
        stream = await subscribed(hub, "", Origin=PAGE)
        refused = await fetch(hub.url + "/events", headers={"Origin": PAGE})
        soft = {"Origin": PAGE, "Accept": "text/event-stream"}
        answers = [stream, refused, await fetch(hub.url + "/events", headers=soft)]
        assert [answer.status for answer in answers] == [200, 429, 200]
        for answer in answers:
            assert answer.headers["access-control-allow-origin"] == PAGE
            exposed = answer.headers["access-control-expose-headers"]
            for name in ("Last-Event-ID", "Mercure-Last-Event-ID", "Link", "Retry-After"):
                assert name in exposed.split(", ")
            await answer.close()


async def test_a_stream_of_another_origin_detaches_as_any_other(subscribed):
    async with running(create_app(EventsSettings(cors_origins=(PAGE,)))) as hub:
        stream = await subscribed(hub, "", Origin=PAGE)
        await eventually(lambda: not hub.server.server_state.tasks)
        assert len(hub.server.server_state.connections) == 1
        await stream.close()


@pytest.mark.parametrize("origin", ["https://evil.example", "null", PAGE + ".evil", "http" + PAGE])
async def test_others_may_not(hub_of, origin):
    async with hub_of(cors_origins=(PAGE,)) as hub:
        for method in ("GET", "OPTIONS"):
            url = hub.url + "/events?poll=1&timeout=0"
            async with await fetch(url, method=method, headers={"Origin": origin}) as answer:
                assert "access-control-allow-origin" not in answer.headers
                assert answer.headers["vary"] == "Origin"


async def test_any_origin_goes_without_cookies(hub_of):
    async with hub_of(cors_origins=("*", PAGE)) as hub:
        url = hub.url + "/events?poll=1&timeout=0"
        async with await fetch(url, headers={"Origin": "https://any.example"}) as answer:
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in answer.headers
        async with await fetch(url, headers={"Origin": PAGE}) as answer:
            assert answer.headers["access-control-allow-origin"] == PAGE
            assert answer.headers["access-control-allow-credentials"] == "true"
        async with await fetch(url) as answer:
            assert "access-control-allow-origin" not in answer.headers
