"""The kernel's memory for the TCP sockets of one port, as `ss --memory` tells it: sock_diag(7).

/proc/net/sockstat has that of all sockets of the machine, those of other tests included.
"""

import socket
import struct
from collections.abc import Iterator

_SOCK_DIAG = 4  # the netlink family
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_REQUEST_DUMP = 0x301
_DONE, _ERROR = 3, 2
_SKMEMINFO = 7  # INET_DIAG_SKMEMINFO: an attribute, and the bit of it in a request
_MESSAGE = struct.Struct("=LHHLL")  # struct nlmsghdr
_SOCKET = struct.Struct("=BBBB HH 44s LLLLL")  # struct inet_diag_msg; its ports are big-endian
_ATTRIBUTE = struct.Struct("=HH")


def socket_memory(port: int) -> int:
    """Bytes of all sockets of IPv4 with this port at either end."""
    return sum(memory for ports, memory in _sockets() if port in ports)


def _sockets() -> Iterator[tuple[tuple[int, int], int]]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        wanted = struct.pack(
            "=BBBBL48s",
            socket.AF_INET,
            socket.IPPROTO_TCP,
            1 << (_SKMEMINFO - 1),
            0,
            2**32 - 1,
            b"",
        )
        size = _MESSAGE.size + len(wanted)
        kernel.send(_MESSAGE.pack(size, _BY_FAMILY, _REQUEST_DUMP, 1, 0) + wanted)
        while True:
            answer = kernel.recv(1024 * 1024)
            while answer:
                size, kind, *_ = _MESSAGE.unpack_from(answer)
                if kind == _DONE:
                    return
                assert kind != _ERROR, answer
                yield _socket(answer[_MESSAGE.size : size])
                answer = answer[(size + 3) & ~3 :]


def _socket(message: bytes) -> tuple[tuple[int, int], int]:
    """The two ports of a socket, and its bytes."""
    ports = struct.unpack_from("!HH", message, 4)
    rest = message[_SOCKET.size :]
    while rest:
        size, kind = _ATTRIBUTE.unpack_from(rest)
        if kind == _SKMEMINFO:
            received, _, _, _, forward, queued, optional, *_ = struct.unpack_from("=8L", rest, 4)
            return ports, received + forward + queued + optional
        rest = rest[(size + 3) & ~3 :]
    return ports, 0
