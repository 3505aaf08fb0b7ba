"""The hub as an OAuth 2.0 protected resource: metadata (RFC 9728), challenges (RFC 6750)."""

from typing import Any

from fastapi import Request, Response

from eddyline.errors import Forbidden, StreamingError, Unauthorized
from eddyline.service import problems
from eddyline_events.hub.namespace import PATH
from eddyline_events.mercure.auth.authenticator import COOKIE, BadPresentation, NoToken
from eddyline_events.mercure.auth.permissions import DETAIL_TYPE, KINDS
from eddyline_events.settings import EventsSettings

#: As RFC 9728 section 3.1 makes it from the hub's URL.
METADATA_PATH = f"/.well-known/oauth-protected-resource{PATH}"


def metadata(settings: EventsSettings, resource: str) -> dict[str, Any]:
    """The metadata document; `resource` is the audience of access tokens."""
    # Keys at a URL belong to an authorization server; any other key is shared with publishers.
    external = settings.auth_issuer and (settings.auth_jwks or "").startswith("https://")
    return {
        "resource": resource,
        **({"authorization_servers": [settings.auth_issuer]} if external else {}),
        "bearer_methods_supported": ["header"],
        "authorization_details_types_supported": [DETAIL_TYPE],
        "mercure_cookie": COOKIE,
        "mercure_matcher_types_supported": list(KINDS),
        **({"mercure_subscriptions": True} if settings.mercure_subscriptions else {}),
    }


async def refusal(request: Request, error: StreamingError, base: str) -> Response:
    """The problem document of an error, with the challenge that RFC 6750 section 3 wants."""
    response = await problems.on_streaming_error(request, error)
    match error:
        case NoToken():
            fault = ""
        case Unauthorized():
            fault = ', error="invalid_token"'
        case Forbidden():
            fault = ', error="insufficient_scope"'
        case BadPresentation():
            fault = ', error="invalid_request"'
        case _:
            return response
    where = base.removesuffix(PATH) + METADATA_PATH
    challenge = f'Bearer realm="eddyline"{fault}, resource_metadata="{where}"'
    response.headers["WWW-Authenticate"] = challenge
    return response
