"""The query of a request: its names are known, each is given once, and its bytes are UTF-8."""

import re
from collections import Counter
from typing import cast
from urllib.parse import unquote_to_bytes

from fastapi import Request

from eddyline.errors import BadRequest
from eddyline.service.openapi.parameters import Parameters
from eddyline_records.sources.base import Condition, Op

#: The operations are those of `Op`. A column's name may have brackets too.
CONDITION = re.compile(r"where\[(.+)\]\[(eq|ne|lt|lte|gt|gte|in|prefix|null)\]\Z", re.DOTALL)

#: The parameter of a model that stands for all conditions.
CONDITIONS = "where[column][op]"


def conditions(request: Request) -> tuple[Condition, ...]:
    """`where[column][op]=value` of a query that `refuse_doubtful` has let pass."""
    found = ((CONDITION.match(name), value) for name, value in request.query_params.multi_items())
    return tuple(Condition(m[1], cast(Op, m[2]), value) for m, value in found if m)


async def refuse_doubtful(request: Request) -> None:
    """Raises BadRequest for a condition whose operation there is none of, a name that is given
    twice, and bytes that are no text. The app has refused names that the route does not have.
    """
    try:
        unquote_to_bytes(request.scope["query_string"]).decode()
    except UnicodeDecodeError:
        raise BadRequest("the query is not UTF-8") from None
    given = Counter(name for name, _ in request.query_params.multi_items())
    for name, times in given.items():
        if "[" in name and not CONDITION.match(name):
            known = ", ".join(Parameters.of(request.scope["route"]))
            raise BadRequest(f"there is no parameter {name[:80]!r}: there are {known}")
        if times > 1:
            raise BadRequest(f"the parameter {name!r} is given {times} times")
