"""The query of a request: its names are known, each is given once, and its bytes are UTF-8."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import cast
from urllib.parse import unquote_to_bytes

from fastapi import Request
from pydantic import BaseModel

from eddyline.errors import BadRequest
from eddyline_records.sources.base import Condition, Op

#: The operations are those of `Op`. A column's name may have brackets too.
CONDITION = re.compile(r"where\[(.+)\]\[(eq|ne|lt|lte|gt|gte|in|prefix|null)\]\Z", re.DOTALL)

#: The parameter of a model that stands for all conditions.
CONDITIONS = "where[column][op]"


def conditions(request: Request) -> tuple[Condition, ...]:
    """`where[column][op]=value` of a query that `refuse_unknown` has let pass."""
    found = ((CONDITION.match(name), value) for name, value in request.query_params.multi_items())
    return tuple(Condition(m[1], cast(Op, m[2]), value) for m, value in found if m)


async def refuse_unknown(request: Request) -> None:
    """Raises BadRequest: a misspelt parameter that is passed over would change the answer.

    A dependency of a route: it knows the names that the endpoint declares.
    """
    try:
        unquote_to_bytes(request.scope["query_string"]).decode()
    except UnicodeDecodeError:
        raise BadRequest("the query is not UTF-8") from None
    known = list(_known(request))
    takes_conditions = CONDITIONS in known
    given = Counter(name for name, _ in request.query_params.multi_items())
    for name, times in given.items():
        is_known = CONDITION.match(name) if takes_conditions else None
        if not is_known and (name not in known or name == CONDITIONS):
            allowed = ", ".join(known) or "none"
            raise BadRequest(f"there is no parameter {name[:80]!r}: there are {allowed}")
        if times > 1:
            raise BadRequest(f"the parameter {name!r} is given {times} times")


def _known(request: Request) -> Iterator[str]:
    for field in request.scope["route"].dependant.query_params:
        annotation = field.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from (f.alias or name for name, f in annotation.model_fields.items())
        else:
            yield field.alias
