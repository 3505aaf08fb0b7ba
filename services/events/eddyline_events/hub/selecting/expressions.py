"""The regular expressions of URI templates (RFC 6570), and their cost before they are compiled."""

import re
from typing import NamedTuple

import re2

from eddyline.errors import BadRequest

#: RFC 6570 allows prefixes of up to 9,999 characters, re2 repetitions of up to 1,000.
MAX_PREFIX = 1000

#: Variables of one template.
MAX_VARIABLES = 64

# re2's instructions for one character of a value, for a value of any length, and for a new regular
# expression; each takes about 60 bytes, and 0.4 µs to compile (measured).
_CHARACTER_COST = 17
_VALUE_COST = 20
_SHAPE_COST = 64

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


class _Item(NamedTuple):
    """One variable; `width` orders its values: 0 a prefix, 1 any text, 2 also pairs with `=`."""

    pattern: str
    cost: int
    width: int


class Shape(NamedTuple):
    """A template from its first variable on: its regular expression, and the cost of that."""

    pattern: str
    cost: int


def shape(text: str, template: str) -> Shape:
    """Raises BadRequest, which names the template and its fault."""
    pieces = _EXPRESSION.split(text)
    if any("{" in literal or "}" in literal for literal in pieces[::2]):
        raise bad(template, "a brace has no partner")
    if sum(expression.count(",") + 1 for expression in pieces[1::2]) > MAX_VARIABLES:
        raise bad(template, f"{MAX_VARIABLES} variables are allowed")
    # Pieces alternate: a literal, an expression, a literal.
    found = [_expression(p, template) if n % 2 else _literal(p) for n, p in enumerate(pieces)]
    return Shape("".join(p for p, _ in found), _SHAPE_COST + sum(cost for _, cost in found))


def bad(text: str, complaint: str) -> BadRequest:
    return BadRequest(f"URI template {text[:80]!r}: {complaint} (RFC 6570)")


def _literal(text: str) -> Shape:
    return Shape(re2.escape(text), len(text.encode(errors="replace")))


def _expression(expression: str, template: str) -> Shape:
    """All expansions of `{expression}`; each of its variables may be undefined."""
    symbol = expression[:1] if expression[:1] in _OPERATORS else ""
    operator = _OPERATORS[symbol]
    items = [_variable(v, operator, template) for v in expression.removeprefix(symbol).split(",")]
    first, separator = re2.escape(operator.first), re2.escape(operator.separator)
    if operator.first == operator.separator:
        return Shape(
            "".join(f"(?:{first}{item.pattern})?" for item in items),
            sum(item.cost for item in items),
        )
    widest = max(items, key=lambda item: item.width)
    if operator.separator == "," and widest.width:
        # One value of any length may be all of it: such values hold commas themselves.
        return Shape(f"(?:{first}{widest.pattern})?", widest.cost)
    # One form for each variable that may be the first one that is defined.
    forms = [
        item.pattern + "".join(f"(?:{separator}{later.pattern})?" for later in items[n + 1 :])
        for n, item in enumerate(items)
    ]
    cost = sum((n + 1) * item.cost for n, item in enumerate(items))
    return Shape(f"(?:{first}(?:{'|'.join(forms)}))?", cost)


def _variable(spec: str, operator: _Operator, template: str) -> _Item:
    """All expansions of one variable: a text, a list, or an associative array."""
    match = _VARIABLE.match(spec)
    if match is None:
        raise bad(template, f"{spec[:80]!r} is not a variable")
    separator, character = re2.escape(operator.separator), operator.value
    cost, width = _VALUE_COST, 1
    if match["prefix"]:
        if int(match["prefix"]) > MAX_PREFIX:
            raise bad(template, f"a prefix may have {MAX_PREFIX} characters")
        value = f"(?:{character}){{0,{match['prefix']}}}"
        cost, width = _CHARACTER_COST * int(match["prefix"]), 0
    elif match["explode"]:
        pair = f"(?:{character}|=)*"
        return _Item(f"{pair}(?:{separator}{pair})*", 2 * _VALUE_COST, 2)
    else:
        value = f"(?:{character}|,)*"
    if not operator.named:
        return _Item(value, cost, width)
    name = match["name"]
    return _Item(f"{re2.escape(name)}(?:={value})?", cost + len(name), width)
