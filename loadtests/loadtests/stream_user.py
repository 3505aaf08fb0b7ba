"""A Locust user that reads bodies as they come, and samples what it sees of them."""

import os
import time
from collections.abc import Callable
from typing import Any

from geventhttpclient.response import HTTPParseError
from locust import FastHttpUser

#: What the users show, where the suite asks for it: see `make token`.
TOKEN = os.environ.get("MILLRACE_TOKEN", "")


class Unexpected(Exception):
    """The server answered, and not what it should have."""


class StreamUser(FastHttpUser):  # type: ignore[misc]  # untyped
    """Samples of type STREAM are ours; those of GET and POST, Locust's, end with the head."""

    abstract = True
    #: Seconds. Heartbeats come each 15: a longer silence is a failure.
    network_timeout = 40.0

    def sample(self, name: str, seconds: float, length: int = 0, fault: object = None) -> None:
        self.environment.events.request.fire(
            request_type="STREAM",
            name=name,
            response_time=seconds * 1000,
            response_length=length,
            exception=Unexpected(str(fault)) if fault is not None else None,
            context={},
        )

    def read(
        self,
        name: str,
        path: str,
        consume: Callable[[Any], int],
        method: str = "GET",
        **options: Any,
    ) -> None:
        """`consume` is given the body, and returns how many bytes or items it had."""
        # Locust asks for compression otherwise: lines would come when the compressor lets them.
        headers = {"Accept-Encoding": "identity"} | options.pop("headers", {})
        if TOKEN:
            headers["Authorization"] = f"Bearer {TOKEN}"
        began = time.perf_counter()
        response = self.client.request(
            method, path, name=name, headers=headers, stream=True, **options
        )
        stream = getattr(response, "_response", None)
        if stream is None:
            return  # counted by Locust as a failure
        length, fault = 0, None
        try:
            if response.status_code < 400:
                length = consume(stream)
        except (OSError, HTTPParseError, ValueError, Unexpected) as error:
            fault = repr(error)
        finally:
            # Else it would go back to the pool with the rest of the stream in it.
            stream.release()
        self.sample(name, time.perf_counter() - began, length, fault)
