"""For tests of streams: a real server on a free port, a client that sees the framing, faults."""

from eddyline.testing.proxy import FaultProxy
from eddyline.testing.redis import REDIS, RedisServer
from eddyline.testing.s3 import S3Server
from eddyline.testing.server import Running, running, serving
from eddyline.testing.stream import Stream, fetch, request_bytes
from eddyline.testing.wait import PATIENCE, eventually, free_port, wait_until

__all__ = [
    "PATIENCE",
    "REDIS",
    "FaultProxy",
    "RedisServer",
    "Running",
    "S3Server",
    "Stream",
    "eventually",
    "fetch",
    "free_port",
    "request_bytes",
    "running",
    "serving",
    "wait_until",
]
