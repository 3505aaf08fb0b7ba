"""The request of a subscriber by the Mercure protocol: topic matchers, and where to resume."""

from fastapi import Request

from eddyline.errors import BadRequest
from eddyline_events.hub.selecting.templates import require_affordable
from eddyline_events.mercure.form import Fields
from eddyline_events.mercure.topics.matcher import Kind, Matcher
from eddyline_events.mercure.topics.pattern import MAX_PATTERNS_COST, pattern_cost

MAX_MATCHERS = 100

#: Parameters that select topics; every other name that begins with `match` is reserved.
PARAMETERS: dict[str, Kind] = {
    "topic": "selector",
    "match": "exact",
    "match_exact": "exact",
    "match_urlpattern": "urlpattern",
}

#: The parameter of revision 1.0, that of 0.x, and two that clients of 0.x still send.
RESUME_PARAMETERS = ("last_event_id", "lastEventID", "lastEventId", "Last-Event-ID")


def matchers_of(fields: Fields, base: str) -> list[Matcher]:
    """Each matcher once, in their order; raises BadRequest, which names the parameter."""
    asked = dict.fromkeys((PARAMETERS[name], value) for name, value in fields if name in PARAMETERS)
    for name, _ in fields:
        if name not in PARAMETERS and name.lower().startswith("match"):
            raise BadRequest(
                f"parameter {name[:80]!r}: expected match, match_exact or match_urlpattern"
            )
    if not asked:
        raise BadRequest('Missing "topic" parameter (or match, match_urlpattern): what to send?')
    if len(asked) > MAX_MATCHERS:
        raise BadRequest(f"{len(asked)} topic matchers: {MAX_MATCHERS} are allowed")
    if sum(pattern_cost(v) for kind, v in asked if kind == "urlpattern") > MAX_PATTERNS_COST:
        raise BadRequest("the URL patterns are too long, together, or their expressions are")
    require_affordable(value for kind, value in asked if kind == "selector")
    return [Matcher.parse(kind, value, base) for kind, value in asked]


def resume_id(request: Request, fields: Fields) -> str | None:
    """The last event id that the client names, maybe ""; None where it names none.

    The header beats every parameter: EventSource connects again with its first URL.
    """
    for name, value in request.scope["headers"]:
        if name == b"last-event-id":
            # EventSource sends UTF-8; other bytes are no id of ours.
            return str(value.decode(errors="replace"))
    return next((value for name, value in fields if name in RESUME_PARAMETERS), None)
