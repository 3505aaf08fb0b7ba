"""Tickets: one browser, and no more rights than the principal that asked for it."""

import time
from dataclasses import replace

import pytest
from fastapi import Request

from eddyline.auth.principal import Principal, parse_scopes
from eddyline.errors import Unauthorized
from eddyline.journal.state import MemoryState
from eddyline.testing import eventually, fetch
from eddyline_events.hub import tickets
from eddyline_events.hub.tickets import Tickets

ALICE = Principal("alice", 4e9, parse_scopes("events:subscribe:a/* logs:read"), "t-1")


def request(**cookies: str) -> Request:
    value = "; ".join(f"{name}={value}" for name, value in cookies.items())
    headers = [(b"cookie", value.encode())] if value else []
    return Request({"type": "http", "headers": headers, "scheme": "https", "path": "/events"})


def cookie_of(header: str | None) -> dict[str, str]:
    """The cookie that a browser sends back after `Set-Cookie`."""
    assert header is not None
    name, _, value = header.partition(";")[0].partition("=")
    return {name: value}


async def test_a_ticket_stands_for_its_principal_and_then_for_the_same_browser() -> None:
    state = MemoryState()
    ticket = await Tickets(state).issue(ALICE)
    # Another process, that knows the state alone.
    redeemed = await Tickets(state).redeem(ticket, request())
    assert redeemed.principal == ALICE
    set_cookie = await Tickets(state).spend(redeemed, request())
    assert set_cookie is not None
    assert "HttpOnly; SameSite=Strict; Secure" in set_cookie
    mine = cookie_of(set_cookie)
    for _ in range(3):
        again = await Tickets(state).redeem(ticket, request(**mine))
        assert again.principal == ALICE
        assert await Tickets(state).spend(again, request(**mine)) is None
    [name] = mine
    for cookies in ({}, {name: "x"}, {"other": mine[name]}):
        with pytest.raises(Unauthorized, match="without the cookie"):
            await Tickets(state).redeem(ticket, request(**cookies))
    for text in ("", "never one", "\udc80"):
        with pytest.raises(Unauthorized):
            await Tickets(state).redeem(text, request(**mine))


async def test_a_ticket_is_spent_once_however_many_come_at_once() -> None:
    tickets_, first = Tickets(MemoryState()), request()
    ticket = await tickets_.issue(ALICE)
    redeemed = [await tickets_.redeem(ticket, first) for _ in range(5)]
    assert await tickets_.spend(redeemed[0], first)
    for each in redeemed[1:]:
        with pytest.raises(Unauthorized):
            await tickets_.spend(each, first)


async def test_two_tickets_that_are_first_used_at_once_share_the_cookie() -> None:
    """A page opens two streams: the browser keeps the cookie that came last."""
    tickets_ = Tickets(MemoryState())
    both = [await tickets_.issue(ALICE) for _ in range(2)]
    redeemed = [await tickets_.redeem(ticket, request()) for ticket in both]
    kept: dict[str, str] = {}
    for each in redeemed:
        kept |= cookie_of(await tickets_.spend(each, request()))
    assert len(kept) == 1
    for ticket in both:
        assert (await tickets_.redeem(ticket, request(**kept))).principal == ALICE


async def test_anothers_cookie_is_good_for_ones_own_tickets_alone() -> None:
    tickets_ = Tickets(MemoryState())
    cookies: dict[str, str] = {}
    used = []
    for principal in (ALICE, replace(ALICE, subject="bob")):
        ticket = await tickets_.issue(principal)
        used.append(ticket)
        redeemed = await tickets_.redeem(ticket, request())
        cookies |= cookie_of(await tickets_.spend(redeemed, request()))
    alice, bob = cookies
    swapped = {alice: cookies[bob], bob: cookies[alice]}
    for ticket in used:
        with pytest.raises(Unauthorized):
            await tickets_.redeem(ticket, request(**swapped))
        await tickets_.redeem(ticket, request(**cookies))


async def test_the_state_cannot_be_used_as_tickets() -> None:
    state = MemoryState()
    ticket = await Tickets(state).issue(ALICE)
    assert ticket not in str(state._once)
    with pytest.raises(Unauthorized):
        await Tickets(state).redeem(next(iter(state._once)), request())


async def test_a_ticket_lasts_no_longer_than_its_token_or_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issued = Tickets(MemoryState())
    ended = Principal("alice", time.time() - 1, ())
    with pytest.raises(Unauthorized):
        await issued.redeem(await issued.issue(ended), request())
    monkeypatch.setattr(tickets, "LIFE", 0.0)
    with pytest.raises(Unauthorized):
        await issued.redeem(await issued.issue(ALICE), request())


async def test_a_ticket_opens_a_stream_with_the_rights_and_the_end_of_its_token(
    hub_of, publish, subscribed, asked, bearer, key
):
    async with hub_of(auth_key=key) as hub:
        alice = bearer("events:subscribe:a/*", 3)
        assert (await asked(hub, "/events/tickets", "POST"))[0] == 401
        status, answer = await asked(hub, "/events/tickets", "POST", **alice)
        assert status == 201
        assert 25 < answer["expires"] - time.time() <= 30
        stream = await subscribed(hub, f"?topic=a/1&ticket={answer['ticket']}")
        assert stream.status == 200
        await publish(hub, {"topic": "a/1", "data": "x"}, bearer("events:publish"))
        assert (await stream.event()).data == "x"
        url = f"{hub.url}/events?topic=a/1&ticket={answer['ticket']}"
        assert (await fetch(url)).status == 401
        again = await fetch(url, headers={"Cookie": stream.headers["set-cookie"].partition(";")[0]})
        assert again.status == 200
        _, answer = await asked(hub, "/events/tickets", "POST", **alice)
        other = await fetch(f"{hub.url}/events?topic=b&ticket={answer['ticket']}")
        assert other.status == 403
        assert await stream.events() == []  # the token has ended, and the stream with it
        assert stream.clean


async def test_a_ticket_of_one_process_is_taken_by_another(hub_of, subscribed, asked, redis_url):
    async with (
        hub_of(redis_url=redis_url, hub="tickets") as one,
        hub_of(redis_url=redis_url, hub="tickets") as two,
    ):
        _, answer = await asked(one, "/events/tickets", "POST")
        stream = await subscribed(two, f"?ticket={answer['ticket']}")
        assert stream.status == 200
        assert (await fetch(f"{one.url}/events?ticket={answer['ticket']}")).status == 401
        await stream.close()


async def test_only_a_stream_that_was_taken_spends_a_ticket(hub_of, asked, bearer, key):
    """A link checker asks by HEAD, and a refused page corrects its request."""
    async with hub_of(auth_key=key, limit_streams=1) as hub:
        alice = bearer("events:subscribe:a/*")
        _, answer = await asked(hub, "/events/tickets", "POST", **alice)
        ticket = f"&ticket={answer['ticket']}"
        for method, query, status in (
            ("HEAD", "?topic=a/1", 200),
            ("GET", "?topic=b", 403),
            ("GET", "?topic=a/%7B", 400),
            ("GET", "?topic=a/1&poll=maybe", 400),
        ):
            async with await fetch(hub.url + "/events" + query + ticket, method=method) as refused:
                assert refused.status == status
        occupied = await fetch(hub.url + "/events?topic=a/1", headers=alice)
        async with await fetch(hub.url + "/events?topic=a/1" + ticket) as refused:
            assert refused.status == 429
        await occupied.close()
        await eventually(lambda: hub.app.state.context.limits.open == 0)
        async with await fetch(hub.url + "/events?topic=a/1" + ticket) as stream:
            assert stream.status == 200
