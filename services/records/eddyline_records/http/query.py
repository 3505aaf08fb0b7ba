"""The query of a request: its names are known, each is given once, and its bytes are UTF-8."""

from collections import Counter
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from fastapi import Request
from pydantic import BaseModel

from eddyline.errors import BadRequest


async def refuse_unknown(request: Request) -> None:
    """Raises BadRequest: a misspelt parameter that is passed over would change the answer.

    A dependency of a route: it knows the names that the endpoint declares.
    """
    try:
        unquote_to_bytes(request.scope["query_string"]).decode()
    except UnicodeDecodeError:
        raise BadRequest("the query is not UTF-8") from None
    known = list(_known(request))
    given = Counter(name for name, _ in request.query_params.multi_items())
    for name, times in given.items():
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise BadRequest(f"there is no parameter {name[:80]!r}: there are {allowed}")
        if times > 1:
            raise BadRequest(f"the parameter {name!r} is given {times} times")


def _known(request: Request) -> Iterator[str]:
    for field in request.scope["route"].dependant.query_params:
        annotation = field.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from annotation.model_fields
        else:
            yield field.alias
