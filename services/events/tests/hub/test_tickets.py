"""Tickets: one use, and no more rights than the principal that asked for it."""

import time

import pytest

from eddyline.auth.principal import Principal, parse_scopes
from eddyline.errors import Unauthorized
from eddyline.journal.state import MemoryState
from eddyline.testing import fetch
from eddyline_events.hub import tickets
from eddyline_events.hub.tickets import Tickets

ALICE = Principal("alice", 4e9, parse_scopes("events:subscribe:a/* logs:read"), "t-1")


async def test_a_ticket_stands_for_who_asked_once() -> None:
    state = MemoryState()
    ticket = await Tickets(state).issue(ALICE)
    # Another process, that knows the state alone.
    assert await Tickets(state).redeem(ticket) == ALICE
    for text in (ticket, "", "never one", "\udc80"):
        with pytest.raises(Unauthorized, match="the ticket was used"):
            await Tickets(state).redeem(text)


async def test_the_state_cannot_be_used_as_tickets() -> None:
    state = MemoryState()
    ticket = await Tickets(state).issue(ALICE)
    assert ticket not in str(state._once)
    with pytest.raises(Unauthorized):
        await Tickets(state).redeem(next(iter(state._once)))


async def test_a_ticket_lasts_no_longer_than_its_token_or_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issued = Tickets(MemoryState())
    ended = Principal("alice", time.time() - 1, ())
    with pytest.raises(Unauthorized):
        await issued.redeem(await issued.issue(ended))
    monkeypatch.setattr(tickets, "LIFE", 0.0)
    with pytest.raises(Unauthorized):
        await issued.redeem(await issued.issue(ALICE))


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
        again = await fetch(f"{hub.url}/events?topic=a/1&ticket={answer['ticket']}")
        assert again.status == 401
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
