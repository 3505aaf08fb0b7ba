"""The caller of a route that reads: its token is a bearer token, or the password of Basic."""

import base64
import binascii
from typing import Annotated, Final

from fastapi import Depends, Request

from eddyline.auth.authenticator import Authenticator
from eddyline.auth.principal import Principal
from eddyline.errors import Unauthorized

#: Two challenges: wget, pip and a browser's address bar know Basic alone (RFC 7617).
CHALLENGE: Final = 'Bearer realm="eddyline", Basic realm="eddyline", charset="UTF-8"'


async def reader(request: Request) -> Principal:
    """The principal of a request that changes nothing.

    Browsers send a password to each page's requests by themselves: no route that changes something
    may take it.
    """
    return await principal_of(request.app.state.context.authenticator, request)


async def principal_of(authenticator: Authenticator, request: Request) -> Principal:
    """Raises Unauthorized, with both challenges."""
    try:
        token = _password(request) if authenticator.enabled else None
        if token is None:
            return await authenticator.principal(request)
        return await authenticator.verify(token)
    except Unauthorized as error:
        error.challenge = CHALLENGE
        raise


#: The annotation of an endpoint's parameter.
Reader = Annotated[Principal, Depends(reader)]


def _password(request: Request) -> str | None:
    """The password, or the user's name where that is empty; None without Basic."""
    headers = request.headers.getlist("authorization")
    if len(headers) != 1 or headers[0][:6].lower() != "basic ":
        return None
    try:
        pair = base64.b64decode(headers[0][6:].strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Unauthorized("the Authorization header is no user and password in Base64") from None
    user, _, password = pair.partition(":")
    return password or user
