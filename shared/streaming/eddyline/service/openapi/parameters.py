"""Query parameters that a route does not have are refused by name: one that is misspelt, and passed
over, would change the answer in silence.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import BaseModel

from eddyline.errors import BadRequest

#: In a documented parameter: other names for it.
ALIASES = "x-aliases"

_PART = re.compile(r"\[[^\]]+\]")

#: The attribute of a route that keeps its parameters.
_MADE = "eddyline_parameters"


class Parameters:
    """The names that a route documents. A part in brackets stands for any text: `where[column]`."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = dict.fromkeys(names)
        self._patterns = [_pattern(name) for name in self._names if _PART.search(name)]

    @classmethod
    def of(cls, route: APIRoute) -> "Parameters":
        """Made once for each route."""
        made: Parameters | None = getattr(route, _MADE, None)
        if made is None:
            made = cls([*_declared(route), *_documented(route)])
            setattr(route, _MADE, made)
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def check(self, request: Request) -> None:
        """Raises BadRequest, which names the unknown parameter and those that there are."""
        for name in request.query_params:
            if name not in self._names and not any(p.fullmatch(name) for p in self._patterns):
                known = ", ".join(self._names) or "none"
                raise BadRequest(f"there is no parameter {name[:80]!r}: there are {known}")


class _Any(Parameters):
    def check(self, request: Request) -> None:
        pass


ANY: Parameters = _Any([])


async def refuse_unknown(request: Request) -> None:
    """A dependency of every route. Pages, which no document has, read their query themselves."""
    route = request.scope["route"]
    if isinstance(route, APIRoute) and (route.include_in_schema or route.methods == {"HEAD"}):
        Parameters.of(route).check(request)


def _pattern(name: str) -> re.Pattern[str]:
    parts = (re.escape(part) for part in _PART.split(name))
    return re.compile(r"\[.+\]".join(parts), re.DOTALL)


def _declared(route: APIRoute) -> Iterator[str]:
    for field in route.dependant.query_params:
        annotation: Any = field.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from (f.alias or name for name, f in annotation.model_fields.items())
        else:
            yield field.alias


def _documented(route: APIRoute) -> Iterator[str]:
    for parameter in (route.openapi_extra or {}).get("parameters", ()):
        if parameter["in"] == "query":
            yield parameter["name"]
            yield from parameter.get(ALIASES, ())
