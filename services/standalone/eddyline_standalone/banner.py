"""What the terminal shows when the suite is there."""

from eddyline.service.settings import Settings

_TEXT = """
Eddyline is running: {url}
{access}

  {url}/               start page
  {url}/docs           every route

  downloads  {url}/files
  events     {url}/events
  logs       {url}/logs
  chat       {url}/chat
  records    {url}/users/stream

Try:
  curl -N {url}/events
  curl -N -X POST "{url}/chat?prompt=Hello"
  curl -s {url}/users/stream | head -n 3

Ctrl-C ends it.
"""


def banner(url: str, settings: Settings) -> str:
    return _TEXT.format(url=url, access=_access(settings))


def _access(settings: Settings) -> str:
    if settings.auth != "off" and (
        settings.auth_key or settings.auth_key_file or settings.auth_jwks
    ):
        return "Authentication is on: requests need a bearer token."
    if settings.on_loopback:
        return "Authentication is off: only this machine can connect."
    return "Authentication is off: whoever can connect may do everything."
