"""Server-sent events (HTML standard, 9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

EVENT_STREAM = "text/event-stream"


def event(name: str, data: BaseModel) -> bytes:
    """One event; its data is one line of JSON."""
    return f"event: {name}\ndata: {data.model_dump_json(exclude_none=True)}\n\n".encode()


class EventStream(Response):
    """A response of events. The generator is closed in any case, so that its memory is released."""

    media_type = EVENT_STREAM

    def __init__(self, events: AsyncGenerator[bytes, None], stall_s: float) -> None:
        """stall_s: seconds without reading after which the client counts as gone."""
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["Content-Length"]
        self._events = events
        self._stall_s = stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises ClientDisconnect."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for one in self._events:
                message = {"type": "http.response.body", "body": one, "more_body": True}
                try:
                    await asyncio.wait_for(send(message), self._stall_s)
                except (asyncio.TimeoutError, TimeoutError):  # two classes before Python 3.11
                    raise ClientDisconnect from None
        finally:
            await self._events.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
