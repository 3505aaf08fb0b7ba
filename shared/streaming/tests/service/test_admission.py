import sys

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from eddyline.auth.principal import Principal
from eddyline.errors import Overloaded, Unavailable
from eddyline.service.admission import Limits, Permit, network_of
from eddyline.service.app import Context
from eddyline.service.drain import Drain
from eddyline.service.settings import Settings


def limits_of(streams: int = 0, principal: int = 0, address: int = 0) -> tuple[Limits, Drain]:
    settings = Settings(
        auth="off",
        limit_streams=streams,
        limit_streams_per_principal=principal,
        limit_streams_per_address=address,
    )
    context = Context.from_settings(settings)
    return context.limits, context.drain


def test_a_process_is_full_when_it_is_full() -> None:
    limits, drain = limits_of(streams=2)
    first = limits.admit("a", "10.0.0.1")
    limits.admit("b", "10.0.0.2")
    with pytest.raises(Overloaded, match=r"streams per process \(2\)") as caught:
        limits.admit("c", "10.0.0.3")
    assert caught.value.retry_after > 0
    first.release()
    limits.admit("c", "10.0.0.3")
    assert (limits.open, drain.open) == (2, 2)


def test_the_limit_is_a_metric() -> None:
    limits_of(streams=7)
    assert REGISTRY.get_sample_value("eddyline_streams_limit") == 7


def test_a_principal_is_counted_wherever_it_comes_from() -> None:
    limits, _ = limits_of(principal=1)
    permit = limits.admit("alice", "10.0.0.1")
    with pytest.raises(Overloaded, match=r"streams per principal \(1\)"):
        limits.admit("alice", "10.0.0.2")
    limits.admit("bob", "10.0.0.1")
    permit.release()
    limits.admit("alice", "10.0.0.2")


def test_an_address_is_counted_whoever_it_says_it_is() -> None:
    limits, _ = limits_of(address=1)
    permit = limits.admit("alice", "10.0.0.1")
    with pytest.raises(Overloaded, match=r"streams per address \(1\)"):
        limits.admit("bob", "10.0.0.1")
    limits.admit("bob", "10.0.0.2")
    permit.release()
    limits.admit("bob", "10.0.0.1")


def test_who_is_refused_is_counted_by_the_limit() -> None:
    def refused(limit: str) -> float:
        name = "eddyline_streams_refused_total"
        return REGISTRY.get_sample_value(name, {"limit": limit}) or 0.0

    limits, _ = limits_of(streams=3, principal=2, address=1)
    before = {limit: refused(limit) for limit in ("process", "principal", "address")}
    for who in [("a", "10.0.0.1"), ("a", "10.0.0.2"), ("b", "10.0.0.3")]:
        limits.admit(*who)
        with pytest.raises(Overloaded):
            limits.admit("c" if who[0] == "b" else "a", "10.0.0.1")
    after = {limit: refused(limit) - before[limit] for limit in before}
    assert after == {"address": 1, "principal": 1, "process": 1}


def test_who_has_no_name_is_not_counted_as_one() -> None:
    limits, _ = limits_of(principal=1, address=1)
    for _ in range(3):
        limits.admit(None, None)
    assert limits.open == 3


def test_no_limit_is_no_limit() -> None:
    limits, _ = limits_of()
    for _ in range(100):
        limits.admit("alice", "10.0.0.1")
    assert limits.open == 100


def test_a_refused_stream_is_not_counted_anywhere() -> None:
    limits, drain = limits_of(principal=5, address=1)
    permit = limits.admit("alice", "10.0.0.1")
    for _ in range(20):
        with pytest.raises(Overloaded):
            limits.admit("alice", "10.0.0.1")
    assert (limits.open, drain.open) == (1, 1)
    permit.release()
    assert [limits.admit("alice", f"10.0.1.{n}") for n in range(5)]


def test_a_permit_is_given_back_once() -> None:
    limits, drain = limits_of(streams=1, principal=1, address=1)
    permit = limits.admit("alice", "::1")
    permit.release()
    permit.release()
    assert (limits.open, drain.open) == (0, 0)
    second = limits.admit("alice", "::1")
    permit.release()
    assert (limits.open, drain.open) == (1, 1)
    second.release()


def test_a_draining_process_admits_nobody() -> None:
    limits, drain = limits_of()
    drain.draining = True
    with pytest.raises(Unavailable, match="stopping") as caught:
        limits.admit(None, None)
    assert not isinstance(caught.value, Overloaded)
    assert (limits.open, drain.open) == (0, 0)


@given(
    st.lists(
        st.tuples(st.sampled_from([None, "a", "b"]), st.sampled_from([None, "::1", "1.2.3.4"]))
    )
)
def test_after_any_storm_nothing_is_left(who: list[tuple[str | None, str | None]]) -> None:
    limits, drain = limits_of(streams=9, principal=4, address=3)
    permits: list[Permit] = []
    for subject, address in who:
        try:
            permits.append(limits.admit(subject, address))
        except Overloaded:
            if permits:
                permits.pop(0).release()
    assert limits.open == drain.open == len(permits)
    for permit in permits * 2:
        permit.release()
    assert (limits.open, drain.open) == (0, 0)
    assert limits._subjects._counts == {}
    assert limits._networks._counts == {}


def test_a_permit_is_small() -> None:
    permit = limits_of()[0].admit("alice", "10.0.0.1")
    assert not hasattr(permit, "__dict__")
    assert sys.getsizeof(permit) <= 64


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("/run/a.sock", "/run/b.sock", False),
    ],
)
def test_an_ipv6_host_counts_by_its_network(one: str, two: str, same: bool) -> None:
    assert (network_of(one) == network_of(two)) is same


def test_a_request_is_admitted_for_its_token_and_its_address() -> None:
    limits, _ = limits_of(principal=1, address=2)
    alice, bob = Principal("alice", None, ()), Principal("bob", None, ())
    request = Request({"type": "http", "client": ("10.0.0.1", 5)})
    limits.for_request(request, alice)
    with pytest.raises(Overloaded, match="principal"):
        limits.for_request(request, alice)
    limits.for_request(request, bob)
    with pytest.raises(Overloaded, match="address"):
        limits.for_request(request, Principal("carol", None, ()))
    limits.for_request(Request({"type": "http", "client": None}), Principal("carol", None, ()))


def test_a_block_that_fails_gives_its_permit_back() -> None:
    limits, drain = limits_of(streams=1)
    for _ in range(3):
        with pytest.raises(OverflowError), limits.admit("a", "10.0.0.1") as permit:
            _fail_late(permit)
    assert (limits.open, drain.open) == (0, 0)


def _fail_late(permit: Permit) -> None:
    permit.hand_over()
    raise OverflowError("a date of the year 10000")


def test_a_block_that_hands_nothing_over_gives_its_permit_back() -> None:
    limits, drain = limits_of()
    with limits.admit("a", "10.0.0.1"):
        pass
    with limits.admit("a", "10.0.0.1") as kept:
        kept.hand_over()
    assert (limits.open, drain.open) == (1, 1)
    kept.release()
    assert (limits.open, drain.open) == (0, 0)
    assert not limits.unclaimed
