"""How long the other end of a connection may be silent before the kernel gives it up: the option `socket_timeout`.

A peer that has vanished (its machine is off, a cable cut, a firewall that drops what it has forgotten) sends nothing,
not even that it is gone: without a limit a statement waits for its reply until somebody is tired of it. Two limits
together bound that: for bytes of ours that nobody acknowledges, and for the time in which we wait and say nothing
ourselves, when keepalive probes ask. A peer that is alive but takes its time acknowledges both, so a slow statement is
never broken off.

https://man7.org/linux/man-pages/man7/tcp.7.html
"""

from __future__ import annotations

import socket
from typing import Any

__all__ = ["limit_silence"]

_PROBES = 4  # in the second half of the time


def limit_silence(sock: Any, seconds: float) -> bool:
    """Set both limits on a TCP socket, as far as this system has them; a socket of another kind stays as it is.

    Args:
        sock: what the event loop gives for a transport's socket; None if it is not known.
        seconds: after which a silent peer is given up, rounded to what the kernel counts in.

    Returns:
        False if there is no socket to set them on.
    """
    if sock is None:
        return False
    if sock.family in {socket.AF_INET, socket.AF_INET6}:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _limits(seconds).items():
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return True


def _limits(seconds: float) -> dict[str, int]:
    quiet = max(1, int(seconds / 2))
    return {
        "TCP_KEEPIDLE": quiet,
        "TCP_KEEPALIVE": quiet,  # its name on macOS
        "TCP_KEEPINTVL": max(1, int(seconds / 2 / _PROBES)),
        "TCP_KEEPCNT": _PROBES,
        "TCP_USER_TIMEOUT": int(seconds * 1000),
    }
