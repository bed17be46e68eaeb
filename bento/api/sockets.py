"""What the system knows of a connection's socket beyond what asyncio tells."""

from __future__ import annotations

import asyncio
import select
from array import array
from typing import Literal

try:
    from fcntl import ioctl
    from termios import FIONREAD
except ImportError:  # Windows has none of these
    ioctl = None  # type: ignore[assignment]  # asked before it is used

# What Linux calls a connection whose other end is closed.
_LEFT = getattr(select, "POLLRDHUP", None)


def has_left(transport: asyncio.Transport) -> bool:
    """Has the other end closed it? False where the system does not tell: only Linux does."""
    if _LEFT is None:
        return False
    state = select.poll()
    state.register(transport.get_extra_info("socket"), _LEFT)
    return bool(state.poll(0))


def unread(transport: asyncio.Transport) -> int:
    """Bytes that have come and are not read yet; 0 where the system does not tell."""
    count = array("i", [0])
    if ioctl is not None:
        ioctl(transport.get_extra_info("socket").fileno(), FIONREAD, count)
    return count[0]


def address(transport: asyncio.Transport, end: Literal["sockname", "peername"]) -> tuple[str, int] | None:
    """Host and port of one end; None for a Unix socket."""
    found = transport.get_extra_info(end)
    return (str(found[0]), int(found[1])) if isinstance(found, tuple) and len(found) >= 2 else None
