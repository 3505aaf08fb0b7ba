"""URI templates (RFC 6570) as topic selectors: which topics are an expansion of a template."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self
from weakref import WeakValueDictionary

import re2

from eddyline.errors import BadRequest
from eddyline_events.hub.selecting.expressions import Shape, bad, shape

#: Characters.
MAX_TEMPLATE = 4096

#: Most cost of all templates of a request together, in instructions of re2. It bounds the time to
#: compile them, 2 ms, and their memory: 4.5 MB where somebody tries, 3 kB as a rule.
MAX_COST = 4096

# Bytes that re2 may use for a compiled expression and its matches: for each, and for its cost.
_MEMORY = 64 * 1024
_MEMORY_PER_COST = 96


class _Compiled:
    """A compiled shape: kept for as long as a template has it, and shared by all that do."""

    __slots__ = ("__weakref__", "fullmatch")

    def __init__(self, shape: Shape) -> None:
        options = re2.Options()
        options.max_mem = _MEMORY + _MEMORY_PER_COST * shape.cost
        options.log_errors = False
        options.dot_nl = True
        self.fullmatch: Any = re2.compile(shape.pattern, options).fullmatch


_COMPILED: WeakValueDictionary[str, _Compiled] = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class Template:
    """A selector of topics: `*` is every topic, a text without variables that topic alone.

    `prefix`: the text before its first variable, with which each of its topics begins. The rest is
    compiled once for all templates that share it: `user/1/{x}` and `user/2/{x}` differ in nothing
    else.
    """

    text: str
    prefix: str = field(compare=False)
    _rest: _Compiled | None = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises BadRequest, which names the template and its fault."""
        if text == "*":
            return cls(text, "", None)
        prefix, rest = _split(text)
        return cls(text, prefix, _compile(rest, text) if rest else None)

    @property
    def exact(self) -> bool:
        """Whether it is one topic, for a look-up in place of a match."""
        return self._rest is None and self.text != "*"

    def matches(self, topic: str) -> bool:
        """Takes time linear in the topic's length."""
        # A template matches its own text too: that is how one may be granted (Mercure 0.x).
        if topic == self.text or self.text == "*":
            return True
        if self._rest is None or not topic.startswith(self.prefix):
            return False
        return self._rest.fullmatch(topic[len(self.prefix) :]) is not None


def require_affordable(texts: Iterable[str]) -> None:
    """Raises BadRequest where templates cost too much together; texts that are none cost nothing.

    Called before any of them is compiled.
    """
    rests: dict[str, str] = {}
    for text in texts:
        try:
            rests.setdefault(_split(text)[1], text)
        except BadRequest:
            continue
    cost = 0
    for rest, text in rests.items():
        try:
            cost += shape(rest, text).cost if rest else 0
        except BadRequest:
            continue
        if cost > MAX_COST:
            raise bad(text, "it is too complex, or all templates of the request together are")


def _split(text: str) -> tuple[str, str]:
    """The literal before the first variable, and the rest."""
    if len(text) > MAX_TEMPLATE:
        raise bad(text, f"it has {len(text)} characters, {MAX_TEMPLATE} are allowed")
    prefix, brace, rest = text.partition("{")
    if "}" in prefix:
        raise bad(text, "a brace has no partner")
    return prefix, brace + rest


def _compile(rest: str, text: str) -> _Compiled:
    compiled = _COMPILED.get(rest)
    if compiled is None:
        found = shape(rest, text)
        if found.cost > MAX_COST:
            raise bad(text, "it is too complex")
        try:
            compiled = _COMPILED[rest] = _Compiled(found)
        except re2.error:
            raise bad(text, "it is too complex") from None
    return compiled
