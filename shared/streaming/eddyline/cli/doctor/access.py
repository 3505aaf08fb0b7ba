"""Checks of access: the token, and the pages of another origin."""

from eddyline.cli.doctor.base import Case, Finding, words_of
from eddyline.cli.tokens import claims_of
from eddyline.errors import StreamingError

#: The first word that is in the server's refusal counts.
_FIXES = (
    ("audience", "Mint it with --audience, as EDDYLINE_AUTH_AUDIENCE of the server has it."),
    ("issuer", "Mint it with --issuer, as EDDYLINE_AUTH_ISSUER of the server has it."),
    ("expired", "Get a new one: `eddyline token`. If it should be good: compare the clocks."),
    ("not valid yet", "Compare the clocks of this machine, the signer and the server."),
    ("signature", "Sign it with the server's key: EDDYLINE_AUTH_KEY, or its JWKS."),
    ("bearer token is needed", "Put one into EDDYLINE_TOKEN; `eddyline token` makes one."),
    ("scope", "Mint it with that scope."),
)


async def token(case: Case) -> Finding:
    answer = await case.client.get(case.at("events/topics?limit=1"), headers=case.headers)
    if answer.is_success:
        return Finding("token", "ok", "good for reading events" if case.token else "none is needed")
    if answer.status_code not in (401, 403):
        return Finding("token", "skipped", f"events can't be asked: {words_of(answer)}")
    said = words_of(answer)
    fix = next((fix for word, fix in _FIXES if word in said), "See docs/guides/access.md.")
    return Finding("token", "fault", said + _claims(case.token), fix)


def _claims(token: str | None) -> str:
    """The claims that a refusal may be about."""
    try:
        claims = claims_of(token or "")
    except StreamingError:
        return ""
    named = [
        f"{name}={claims[name]!r}" for name in ("aud", "iss", "exp", "scope") if name in claims
    ]
    return f" (the token has {', '.join(named)})" if named else ""


async def cors(case: Case) -> Finding:
    if case.origin is None:
        return Finding("cors", "skipped", "--origin https://app.example asks for a page of its own")
    asked = {
        "Origin": case.origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization,last-event-id",
    }
    answer = await case.client.request("OPTIONS", case.at("events"), headers=asked)
    allowed = answer.headers.get("access-control-allow-origin", "")
    headers = answer.headers.get("access-control-allow-headers", "").lower()
    if answer.is_success and allowed in (case.origin, "*") and "authorization" in headers:
        return Finding("cors", "ok", f"pages of {case.origin} may read")
    return Finding(
        "cors",
        "fault",
        f"pages of {case.origin} may not read: the preflight got {answer.status_code}, and"
        f" {f'allows {allowed!r}' if allowed else 'allows no origin'}",
        f"Add it to EDDYLINE_CORS_ORIGINS of the server: EDDYLINE_CORS_ORIGINS={case.origin}",
    )
