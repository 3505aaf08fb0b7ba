"""`python -m eddyline.server.health`: exit code 0 while this container is ready, else 1.

For a container's health check: images have no curl. Only the standard library: it starts often.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException


def main() -> None:
    """Asks `/readyz` on EDDYLINE_PORT; the answer goes to standard output."""
    connection = HTTPConnection("127.0.0.1", int(os.environ.get("EDDYLINE_PORT") or 8000), 4)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        print(answer.read().decode("utf-8", "replace"))
    except (OSError, HTTPException) as error:
        sys.exit(f"no answer: {error!r}")
    sys.exit(0 if answer.status == 200 else 1)


if __name__ == "__main__":
    main()
