"""One client's connection: uvicorn's protocol with additional limits, and with errors in our shape.

uvicorn hands a request to the application when its head is complete. What happens before that and after the answer is
bounded here: the seconds and bytes of a head, requests sent ahead, bytes sent behind an answer, connections that wait.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from itertools import islice
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.utils import is_ssl

from bento import metrics
from bento.api import sockets
from bento.api.body import ARRIVAL, Arrival
from bento.api.errors import CLIENT_CLOSED_REQUEST, respond
from bento.errors import ConnectionsFull, HeadTooLarge, MalformedHttp, MethodNotAllowed, RequestTimeout, WordtellError
from bento.settings import ApiSettings

# Bytes that are read from a socket at a time: so much may be parsed before others get their turn.
_READ = 32 * 1024
_HEAD = 32 * 1024
# Requests that a client may send ahead of its answers on one connection.
_AHEAD = 16
# What a client sends behind an early answer (a refusal, say) is read and thrown away for so long, and up to so many
# times api.max_body_bytes: one that is still sending may not see the answer if the connection is closed at once.
_LINGER_S = 2.0
_LINGER_BODIES = 16
# When the server ends, a client may have begun its next request already: a connection is kept for so long for it.
_FAREWELL_S = 2.0
# Requests that are begun in one turn of the event loop, about a millisecond each; probes are begun at once.
_BEGIN = 4
_PROBES = ("/livez", "/readyz")
# The headers by which a client offers another protocol.
_OFFER = (b"upgrade", b"connection", b"http2-settings")
# Connections that are looked at for one that may make room for a new one.
_LOOK = 64


class Connection(HttpToolsProtocol):
    """From its first byte to its last."""

    limits: ClassVar[ApiSettings] = ApiSettings()
    most: ClassVar[int] = limits.max_connections
    # Those for which no application runs; the one that has waited longest for its client comes first.
    _waiting: ClassVar[dict[Connection, None]] = {}
    # Requests whose application has not begun.
    _queue: ClassVar[deque[tuple[Connection, RequestResponseCycle, Any]]] = deque()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # no other transport listens
        """A client has connected. As uvicorn does it, without asking the system again what the transport knows."""
        self.connections.add(self)
        self.transport = transport
        self.flow = FlowControl(transport)
        self.server, self.client = (sockets.address(transport, end) for end in ("sockname", "peername"))
        self.scheme = "https" if is_ssl(transport) else "http"
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._advances = False  # whether what is being parsed brought a request further
        self._stale = 0  # bytes that did not
        self._thrown = 0  # bytes that were thrown away
        self._ends = False  # nothing more is read of it
        self._is_last = False  # the next answer is the last one
        self._arrival = Arrival(0.0)
        self._running: list[RequestResponseCycle] = []
        if hasattr(transport, "max_size"):  # asyncio's own transports
            transport.max_size = _READ
        if len(self.connections) > self.most:
            silent = next((other for other in islice(self._waiting, _LOOK) if other.is_silent()), None)
            if silent is None:
                self._refuse(ConnectionsFull(self.most))
                return
            silent.close()
        self._wait(self.limits.keep_alive_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Either side has closed it."""
        super().connection_lost(exc)
        self._stop_waiting()
        # uvicorn tells the latest request only; those before it are the ones that run.
        for cycle in (*self._running, *(cycle for cycle, _ in self.pipeline)):
            cycle.disconnected = True
            cycle.message_event.set()
        self.pipeline.clear()
        self._running.clear()
        self.cycle = None  # type: ignore[assignment]  # which holds this connection

    def data_received(self, data: bytes) -> None:
        """Some bytes, of one request or of several."""
        if self.transport.is_closing():
            return
        if self._ends or self._is_answered_early():
            self._thrown += len(data)
            if self._thrown > _LINGER_BODIES * self.limits.max_body_bytes:
                self.close()
                return
        if self._ends:
            return
        self._advances = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(MalformedHttp())
        self._stale = 0 if self._advances else self._stale + len(data)
        if self._stale > _HEAD:  # a head, a trailer or a chunk's extension without end
            self._refuse(HeadTooLarge(_HEAD))

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._arrival = Arrival(time.perf_counter())
        self.scope[ARRIVAL] = self._arrival  # type: ignore[literal-required]  # a scope may have more
        self._in_head = True
        self._stale = 0
        if not self._running:
            self._wait(self.limits.receive_timeout_s, RequestTimeout(self.limits.receive_timeout_s))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; a trailer's, behind the body, means nothing here."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head is complete: its application begins, and sees to the body's time itself."""
        self._in_head = False
        self._advances = True
        self._stop_waiting()
        if len(self.pipeline) >= _AHEAD:  # those before it are answered, then it is closed
            self._ends = True
            self.cycle.keep_alive = False
        if not self._ends:
            super().on_headers_complete()
            if self._is_last:
                self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Some bytes of a body."""
        self._advances = True
        if not self._ends:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self._advances = True
        if self._ends:
            return
        super().on_message_complete()
        if self._is_answered_early():
            self.cycle.more_body = False
            self._wait(self.limits.keep_alive_s)

    def on_response_complete(self) -> None:
        """The last byte of an answer."""
        self._running = [cycle for cycle in self._running if not cycle.response_complete]
        if self._ends and not self.pipeline:  # what comes is thrown away until it is closed
            self.flow.resume_reading()
            return
        super().on_response_complete()
        self._unset_keepalive_if_required()  # uvicorn's own timer
        if self.transport.is_closing() or self._running:
            return
        if self._is_answered_early():
            self._thrown = 0
            self._wait(_LINGER_S)
        else:
            self._wait(self.limits.receive_timeout_s if self._in_head else self.limits.keep_alive_s)

    def shutdown(self) -> None:
        """The server ends: the next answer is the last one, and says so; without a request it is closed a little later.

        uvicorn closes at once, also when a request is on its way, and its client does not know whether it was done.
        """
        if self._running or self.pipeline:
            super().shutdown()
        elif not (self._is_last or self._ends):
            self._is_last = True
            self._wait(_FAREWELL_S)

    def has_left(self) -> bool:
        """Has its client closed it, even if the event loop has not come to see that?"""
        return self.transport.is_closing() or sockets.has_left(self.transport)

    def is_silent(self) -> bool:
        """Has its client sent nothing that is not read yet?"""
        return sockets.unread(self.transport) == 0

    def close(self) -> None:
        """Close it, once what has been written is sent."""
        self._stop_waiting()
        self.transport.close()

    def linger(self) -> None:
        """Close it when its client has had the time to see the answer."""
        if self.transport.is_closing():
            return
        self._ends = True
        self._thrown = 0
        self._wait(_LINGER_S)

    def _should_upgrade(self) -> bool:
        return True  # uvicorn then leaves such a request alone

    def _go_on_without_upgrade(self, rest: bytes) -> None:
        """A request that offers another protocol (Java's client does, with a body behind) is answered in this one.

        Its parser takes the body for the other protocol, so a new one reads the request again, without the offer.
        """
        if self.scope["method"] == "CONNECT":  # it asks for a tunnel: all that follows is the other protocol
            self._refuse(MethodNotAllowed("CONNECT", self.url.decode("latin-1"), ""))
            return
        head = [f"{self.scope['method']} ".encode(), self.url, b" HTTP/1.1\r\n"]
        head += [b"%s: %s\r\n" % header for header in self.headers if header[0] not in _OFFER]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"".join((*head, b"\r\n", rest)))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Begin a request, or put it behind others: a thousand that come at once are begun a few at a time."""
        self._running.append(cycle)
        cycle.transport = _Lingering(self)  # type: ignore[assignment]  # has what a cycle calls
        if cycle.scope["path"].rstrip("/").endswith(_PROBES):
            super()._start_asgi_task(cycle, app)
            return
        self._queue.append((self, cycle, app))
        if len(self._queue) == 1:
            self.loop.call_soon(self._begin_some)

    def _begin_some(self) -> None:
        try:
            for _ in range(min(_BEGIN, len(self._queue))):
                connection, cycle, app = self._queue.popleft()
                if cycle.disconnected or connection.has_left():
                    metrics.HTTP_REQUESTS.labels("other", CLIENT_CLOSED_REQUEST).inc()
                    connection.close()
                else:
                    super(Connection, connection)._start_asgi_task(cycle, app)
        finally:  # whatever becomes of one, the others are begun
            if self._queue:
                self.loop.call_soon(self._begin_some)

    def _is_answered_early(self) -> bool:
        """Is the rest of a request still coming that has been answered already?"""
        return self.cycle is not None and self.cycle.response_complete and self.cycle.more_body

    def _wait(self, seconds: float, late: WordtellError | None = None) -> None:
        """For the client; then close, with an error or without."""
        self._stop_waiting()
        self._waiting[self] = None
        self._timer = self.loop.call_later(seconds, self.close if late is None else lambda: self._refuse(late))

    def _stop_waiting(self) -> None:
        self._waiting.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, error: WordtellError) -> None:
        """Tell what is wrong with what came, and read no more of it."""
        if self._ends or self.transport.is_closing():
            return
        if self._running:
            self._ends = True
            self._running[-1].keep_alive = False  # the answer that is being made is the last one
            if self.cycle is self._running[-1] and self.cycle.more_body:
                self._arrival.fault = error
                self.cycle.message_event.set()
            self.pipeline.clear()
            return
        response = respond(error, "/")
        headers = dict(response.raw_headers) | {b"x-request-id": uuid.uuid4().hex.encode(), b"connection": b"close"}
        lines = [b"%s: %s\r\n" % pair for pair in headers.items()]
        self.transport.write(b"".join([STATUS_LINE[response.status_code], *lines, b"\r\n", bytes(response.body)]))
        metrics.HTTP_REQUESTS.labels("other", response.status_code).inc()
        self.linger()


class _Lingering:
    """What an answer writes to: it closes the connection when its request has arrived whole, else a little later."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing

    def close(self) -> None:
        """The answer is the last one."""
        if self._connection.cycle is not None and self._connection.cycle.more_body:
            self._connection.linger()
        else:
            self._connection.close()
