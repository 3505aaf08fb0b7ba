"""Only the names that a route documents are taken: another would be passed over in silence."""

import pytest
from fastapi import Request

from eddyline.errors import BadRequest
from eddyline.service.openapi.operation import parameter
from eddyline.service.openapi.parameters import ALIASES, Parameters
from eddyline.service.raw_route import RawRoute

TEXT = {"type": "string"}


def check(query: str) -> None:
    documented = [
        parameter("topic", {"type": "array", "items": TEXT}, "Topics."),
        parameter("include", TEXT, "A text.") | {ALIASES: ["include[]"]},
        parameter("where[column]", TEXT, "A value."),
        parameter("Range", TEXT, "Bytes.", "header"),
    ]

    async def endpoint(request: Request) -> None: ...

    route = RawRoute("/", endpoint, response_model=None, openapi_extra={"parameters": documented})
    assert Parameters.of(route) is Parameters.of(route)
    route.parameters.check(Request({"type": "http", "query_string": query.encode()}))


@pytest.mark.parametrize(
    "query", ["", "topic=a&topic=b", "include=a", "include[]=a", "where[id]=1", "where%5Bid%5D=1"]
)
def test_documented_names_and_their_aliases_are_taken(query: str) -> None:
    check(query)


@pytest.mark.parametrize(
    "name", ["topik", "topic[]", "where[]", "where", "include[0]", "Range", ""]
)
def test_any_other_name_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="there is no parameter"):
        check(f"topic=a&{name}=x")
