import pytest
from starlette.requests import Request

from eddyline.auth.bearer import bearer_token
from eddyline.errors import BadRequest, Unauthorized


def request(*headers: str) -> Request:
    raw = [(b"authorization", header.encode()) for header in headers]
    return Request({"type": "http", "headers": raw})


def test_a_request_without_the_header_has_no_token() -> None:
    assert bearer_token(request()) is None


@pytest.mark.parametrize("header", ["Bearer abc", "bearer abc", "BEARER   abc "])
def test_the_scheme_is_case_insensitive_and_space_around_the_token_is_not_part_of_it(
    header: str,
) -> None:
    assert bearer_token(request(header)) == "abc"


@pytest.mark.parametrize(
    "headers",
    [["Basic c2VjcmV0"], ["secret"], ["Bearer"], ["Bearer  "], [""], ["Bearer secret"] * 2],
)
def test_another_header_is_an_error_that_tells_no_secret(headers: list[str]) -> None:
    with pytest.raises(Unauthorized) as raised:
        bearer_token(request(*headers))
    assert "secret" not in raised.value.detail


def test_the_caller_chooses_the_error() -> None:
    with pytest.raises(BadRequest, match="one Authorization header"):
        bearer_token(request("Basic x"), BadRequest)
