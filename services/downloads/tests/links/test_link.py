import time
from dataclasses import replace
from typing import Any

import jwt
import pytest

from eddyline.errors import Gone, NotFound, SettingsError
from eddyline_downloads.links.link import AUDIENCE, TYPE, Link, LinkKeys

OLD, NEW, OTHER = "o" * 32, "n" * 64, "x" * 32
LINK = Link("0" * 16, "sub/b.txt", int(time.time()) + 3600, "inline", 3)


def test_a_link_comes_back_as_it_was_made() -> None:
    for link in (LINK, Link("1" * 16, "sub/", LINK.expires)):
        assert LinkKeys([NEW]).verified(LinkKeys([NEW]).sign(link)) == link


def test_keys_are_exchanged_without_the_loss_of_a_link() -> None:
    text = LinkKeys([OLD]).sign(LINK)
    assert LinkKeys([NEW, OLD]).verified(text) == LINK
    assert LinkKeys([OLD, NEW]).verified(LinkKeys([NEW, OLD]).sign(LINK)) == LINK
    with pytest.raises(NotFound):
        LinkKeys([NEW]).verified(text)


def test_a_link_of_yesterday_is_gone() -> None:
    keys = LinkKeys([NEW])
    with pytest.raises(Gone, match="has expired"):
        keys.verified(keys.sign(replace(LINK, expires=int(time.time()) - 24 * 3600)))


CLAIMS = {"aud": AUDIENCE, "jti": "0" * 16, "exp": 2**32, "path": "secret", "kind": "inline"}
KEY_ID = jwt.get_unverified_header(LinkKeys([NEW]).sign(LINK))["kid"]


@pytest.mark.parametrize(
    ("claims", "key", "algorithm", "header"),
    [
        ({}, OTHER, "HS256", {}),
        ({}, "", "none", {}),
        ({}, NEW, "HS512", {}),
        ({}, NEW, "HS256", {"typ": "JWT"}),
        ({}, NEW, "HS256", {"kid": "0" * 16}),
        ({"aud": "eddyline"}, NEW, "HS256", {}),
        ({"exp": None}, NEW, "HS256", {}),
        ({"jti": None}, NEW, "HS256", {}),
    ],
)
def test_an_attackers_link_is_none(
    claims: dict[str, Any], key: str, algorithm: str, header: dict[str, Any]
) -> None:
    """RFC 8725 §3.1, §3.11: another key, no signature, a token of another kind."""
    made = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    text = jwt.encode(made, key, algorithm, headers={"typ": TYPE, "kid": KEY_ID, **header})
    with pytest.raises(NotFound, match="no such link"):
        LinkKeys([NEW]).verified(text)


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "..", "é", "a" * 9000])
def test_garbage_is_no_link(text: str) -> None:
    with pytest.raises(NotFound):
        LinkKeys([NEW]).verified(text)


def test_a_changed_link_is_none() -> None:
    text = LinkKeys([NEW]).sign(LINK)
    header, payload, signature = text.split(".")
    longer = LinkKeys([NEW]).sign(replace(LINK, path="secret")).split(".")[1]
    assert longer != payload
    with pytest.raises(NotFound):
        LinkKeys([NEW]).verified(f"{header}.{longer}.{signature}")


def test_a_link_of_a_file_is_good_for_no_other() -> None:
    assert LINK.file("b.txt") == "sub/b.txt"
    for other in ("", "a.txt", "sub/b.txt", "../b.txt", "b.txt/"):
        with pytest.raises(NotFound):
            LINK.file(other)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(SettingsError, match="DOWNLOADS_LINK_KEYS has 5 bytes"):
        LinkKeys([NEW, "short"])
