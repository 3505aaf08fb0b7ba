"""URL patterns (WHATWG URL Pattern) as topic matchers: bounded, and small while they are kept.

A compiled URLPattern takes 75 kB, and subscribers have one each. Most patterns are literals with
some `:name` and `*` in the path: of those only the parts are kept, and a topic is parsed once for
all of them.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import re2
from urlpattern import URLPattern

from eddyline.errors import BadRequest

#: Most cost of one URL pattern, and of all in a request. Compiling takes about 3 us a byte, and
#: 0.4 ms for a class of characters (`\\w`) in a group's regular expression.
MAX_PATTERN_COST = 2048
MAX_PATTERNS_COST = 16_384

# A group's regular expression is matched in linear time, but `\w{1000}` takes 0.1 s to compile.
_COUNTED = re.compile(r"\{[0-9]+(,[0-9]*)?\}")
_CLASS = re.compile(r"\\[a-zA-Z]")
_CLASS_COST = 128

_PARTS = ("protocol", "username", "password", "hostname", "port", "search", "hash")
_SCHEMES = ("http", "https", "ws", "wss")
# ASCII, no group, no modifier: a `*` after a token would mean that it may come again.
_SIMPLE_PATH = re.compile(
    r"(?:(?![:*(){}?+\\])[!-~]|:[A-Za-z_$][\w$]*(?![\w$*])|\*(?!\*))*\Z", re.ASCII
)
_TOKEN = re.compile(r":[A-Za-z_$][\w$]*|\*", re.ASCII)
_SPECIAL = re.compile(r"[:*(){}?+\\]")

# It matches every URL, so that it serves as a parser.
_ANY_URL = URLPattern({})


@dataclass(frozen=True, slots=True)
class Pattern:
    """One URL pattern. Its own relative parts, and relative topics, are resolved against `base`."""

    base: str
    path: str
    parts: tuple[str, ...]
    #: The compiled pattern, where it is not a simple one.
    _whole: URLPattern | None = field(compare=False, repr=False)

    def matches(self, topic: str) -> bool:
        """Takes time linear in the topic's length."""
        if self._whole is not None:
            try:
                return self._whole.test(topic, self.base)
            except ValueError:
                return False
        found = components(topic, self.base)
        if found is None:
            return False
        path, parts = found
        return all(
            mine in ("*", part) for mine, part in zip(self.parts, parts, strict=True)
        ) and _path_matches(self.path, path)


@lru_cache(maxsize=1024)
def pattern(text: str, base: str) -> Pattern:
    """Raises BadRequest, which names the pattern and its fault."""
    if pattern_cost(text) > MAX_PATTERN_COST:
        raise _bad(text, "it is too long, or its regular expressions are")
    if "(" in text and _COUNTED.search(text):
        raise _bad(text, "its regular expression counts repetitions, which is not allowed here")
    try:
        whole = URLPattern(text, base)
    except ValueError as error:
        raise _bad(text, str(error)) from None
    parts = tuple(getattr(whole, name) for name in _PARTS)
    simple = (
        parts[0] in _SCHEMES
        and all(part == "*" or not _SPECIAL.search(part) for part in parts)
        and _SIMPLE_PATH.match(whole.pathname) is not None
    )
    return Pattern(base, whole.pathname, parts, None if simple else whole)


def pattern_cost(text: str) -> int:
    return len(text.encode()) + _CLASS_COST * len(_CLASS.findall(text))


@lru_cache(maxsize=1024)
def components(topic: str, base: str) -> tuple[str, tuple[str, ...]] | None:
    """The path of a topic as a URL (WHATWG URL), and its other parts; None where it is no URL."""
    try:
        found = _ANY_URL.exec(topic, base)
    except ValueError:
        return None
    if found is None:
        return None
    parsed: dict[str, Any] = {**found}
    return parsed["pathname"]["input"], tuple(parsed[name]["input"] for name in _PARTS)


def _path_matches(path: str, topic_path: str) -> bool:
    token = _TOKEN.search(path)
    if token is None:
        return path == topic_path
    if not topic_path.startswith(path[: token.start()]):
        return False  # of ten thousand patterns most go here, and need not be compiled
    return _compiled(path).fullmatch(topic_path) is not None


@lru_cache(maxsize=4096)
def _compiled(path: str) -> Any:
    options = re2.Options()
    options.max_mem = 256 * 1024
    options.log_errors = False
    literals = [re2.escape(literal) for literal in _TOKEN.split(path)]
    tokens = [".*" if token == "*" else "[^/]+" for token in _TOKEN.findall(path)]
    joined = [text for pair in zip(literals, [*tokens, ""], strict=True) for text in pair]
    return re2.compile("".join(joined), options)


def _bad(text: str, complaint: str) -> BadRequest:
    return BadRequest(f"URL pattern {text[:80]!r}: {complaint}")
