"""URI templates (RFC 6570) as topic selectors: which topics are an expansion of a template."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, Self

import re2

from eddyline.errors import BadRequest

#: Characters.
MAX_TEMPLATE = 4096

#: Variables of one template.
MAX_VARIABLES = 64

#: Bytes that one compiled template may take; a larger one is refused.
MAX_MEMORY = 1024 * 1024

#: RFC 6570 allows prefixes of up to 9,999 characters, re2 repetitions of up to 1,000.
MAX_PREFIX = 1000

_EXPRESSION = re.compile(r"\{([^{}]*)\}")
_VARIABLE = re.compile(
    r"(?P<name>(?:\w|%[0-9A-Fa-f]{2})+(?:\.(?:\w|%[0-9A-Fa-f]{2})+)*)"
    r"(?::(?P<prefix>[1-9][0-9]{0,3})|(?P<explode>\*))?\Z",
    re.ASCII,
)

# Characters beyond ASCII stand for their percent-encoded form: a topic may be an IRI (RFC 3987).
_UNRESERVED = r"[A-Za-z0-9._~\-\x{80}-\x{10FFFF}]|%[0-9A-Fa-f]{2}"
_ANY = r"[A-Za-z0-9._~\-:/?#\[\]@!$&'()*+,;=\x{80}-\x{10FFFF}]|%[0-9A-Fa-f]{2}"


class _Operator(NamedTuple):
    """A row of RFC 6570 appendix A; `value` is a regular expression of one character."""

    first: str
    separator: str
    named: bool
    value: str


_OPERATORS = {
    "": _Operator("", ",", False, _UNRESERVED),
    "+": _Operator("", ",", False, _ANY),
    "#": _Operator("#", ",", False, _ANY),
    ".": _Operator(".", ".", False, _UNRESERVED),
    "/": _Operator("/", "/", False, _UNRESERVED),
    ";": _Operator(";", ";", True, _UNRESERVED),
    "?": _Operator("?", "&", True, _UNRESERVED),
    "&": _Operator("&", "&", True, _UNRESERVED),
}


@dataclass(frozen=True, slots=True)
class Template:
    """A selector of topics: `*` is every topic, a text without variables that topic alone."""

    text: str
    _regex: Any = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises BadRequest, which names the template and its fault."""
        return cls(text, _compile(text))

    @property
    def exact(self) -> bool:
        """Whether it is one topic, for a look-up in place of a match."""
        return self._regex is None and self.text != "*"

    def matches(self, topic: str) -> bool:
        """Takes time linear in the topic's length."""
        # A template matches its own text too: that is how one may be granted (Mercure 0.x).
        if topic == self.text or self.text == "*":
            return True
        return self._regex is not None and self._regex.fullmatch(topic) is not None


@lru_cache(maxsize=1024)
def _compile(text: str) -> Any:
    """A compiled re2 expression; None for a template without variables."""
    if len(text) > MAX_TEMPLATE:
        raise _bad(text, f"it has {len(text)} characters, {MAX_TEMPLATE} are allowed")
    pieces = _EXPRESSION.split(text)
    if any("{" in literal or "}" in literal for literal in pieces[::2]):
        raise _bad(text, "a brace has no partner")
    if len(pieces) == 1:
        return None
    if sum(expression.count(",") + 1 for expression in pieces[1::2]) > MAX_VARIABLES:
        raise _bad(text, f"{MAX_VARIABLES} variables are allowed")
    # Pieces alternate: a literal, an expression, a literal.
    parts = [re2.escape(p) if n % 2 == 0 else _expression(p, text) for n, p in enumerate(pieces)]
    options = re2.Options()
    options.max_mem = MAX_MEMORY
    options.log_errors = False
    options.dot_nl = True
    try:
        return re2.compile("".join(parts), options)
    except re2.error:
        raise _bad(text, "it is too complex") from None


def _expression(expression: str, template: str) -> str:
    """All expansions of `{expression}`; each of its variables may be undefined."""
    symbol = expression[:1] if expression[:1] in _OPERATORS else ""
    operator = _OPERATORS[symbol]
    items = [_variable(v, operator, template) for v in expression.removeprefix(symbol).split(",")]
    separator = re2.escape(operator.separator)
    # One form for each variable that may be the first one that is defined.
    forms = [
        item + "".join(f"(?:{separator}{later})?" for later in items[n + 1 :])
        for n, item in enumerate(items)
    ]
    return f"(?:{re2.escape(operator.first)}(?:{'|'.join(forms)}))?"


def _variable(spec: str, operator: _Operator, template: str) -> str:
    """All expansions of one variable: a text, a list, or an associative array."""
    match = _VARIABLE.match(spec)
    if match is None:
        raise _bad(template, f"{spec[:80]!r} is not a variable")
    separator, character = re2.escape(operator.separator), operator.value
    if match["prefix"]:
        if int(match["prefix"]) > MAX_PREFIX:
            raise _bad(template, f"a prefix may have {MAX_PREFIX} characters")
        value = f"(?:{character}){{0,{match['prefix']}}}"
    elif match["explode"]:
        pair = f"(?:{character}|=)*"
        return f"{pair}(?:{separator}{pair})*"
    else:
        value = f"(?:{character}|,)*"
    return f"{re2.escape(match['name'])}(?:={value})?" if operator.named else value


def _bad(text: str, complaint: str) -> BadRequest:
    return BadRequest(f"URI template {text[:80]!r}: {complaint} (RFC 6570)")
