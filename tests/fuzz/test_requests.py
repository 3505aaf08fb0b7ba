"""Requests as the OpenAPI documents allow them, or almost: none is a fault, and none hangs."""

import contextlib
from typing import Any

import pytest
import requests
import schemathesis

from eddyline.service.registry import registrations
from tests.fuzz.conftest import Suite, try_examples

#: Bytes of a body that are read; a stream has no end.
ENOUGH = 64 * 1024

#: Seconds: until the head is there, and for more of a body.
PATIENCE = (10, 30)
SILENCE = 0.2


@pytest.mark.parametrize("service", sorted(registrations()))
def test_no_request_is_answered_by_a_fault(suite: Suite, service: str) -> None:
    registration = registrations()[service]
    document = registration.create_app(registration.settings(auth="off")).openapi()
    found = schemathesis.openapi.from_dict(document).get_all_operations()
    cases = [result.ok().as_strategy() for result in found]
    assert try_examples(cases, lambda case: _try(suite, case)) >= len(cases)


def _try(suite: Suite, case: Any) -> None:
    request = requests.Request(**_known(case.as_transport_kwargs(base_url=suite.url)))
    session = requests.Session()
    try:
        prepared = session.prepare_request(request)
    except ValueError:
        return  # a value that no HTTP client can send
    with contextlib.closing(session):
        try:
            answer = session.send(prepared, stream=True, timeout=PATIENCE, allow_redirects=False)
        except (requests.exceptions.InvalidHeader, UnicodeError):
            return
        with contextlib.closing(answer):
            assert answer.status_code < 500, (prepared.method, prepared.url, prepared.body)
            _read(answer)


def _known(given: dict[str, Any]) -> dict[str, Any]:
    names = ("method", "url", "params", "headers", "cookies", "json", "data", "files")
    return {name: given[name] for name in names if name in given}


def _read(answer: requests.Response) -> None:
    """Some of the body. One that says nothing for a while is a stream."""
    with contextlib.suppress(AttributeError):  # the answer was short, and is here
        answer.raw._fp.fp.raw._sock.settimeout(SILENCE)
    size = 0
    with contextlib.suppress(requests.exceptions.ConnectionError, TimeoutError):
        for chunk in answer.iter_content(4096):
            size += len(chunk)
            if size >= ENOUGH:
                return
