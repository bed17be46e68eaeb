"""A request's body, never held beyond its limit."""

from __future__ import annotations

from fastapi import Request

from bento.errors import BodyTooLarge

# A client that is still sending sees a broken connection, not the answer; so up to this many times the limit is read
# and thrown away first.
_PATIENCE = 16


async def read_body(request: Request, limit: int) -> bytes:
    """All of it, at most `limit` bytes. Raises BodyTooLarge; the client's going away raises ClientDisconnect."""
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size <= limit:
            pieces.append(piece)
        else:
            pieces.clear()
        if size > limit * _PATIENCE:
            break
    if size > limit:
        raise BodyTooLarge(limit)
    return b"".join(pieces)
