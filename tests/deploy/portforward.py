"""The server's side of a port-forward: RFC 6455 frames, each beginning with the byte of its channel."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import struct
import threading
from email.message import Message

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
PROTOCOL = "v4.channel.k8s.io"


def forward(client: socket.socket, headers: Message, backend: int, port: int) -> None:
    """Shake hands, then carry bytes between channel 0 and a port of loopback until either side ends."""
    accept = hashlib.sha1(headers["Sec-WebSocket-Key"].encode() + _GUID.encode(), usedforsecurity=False).digest()
    client.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + f"Sec-WebSocket-Accept: {base64.b64encode(accept).decode()}\r\n".encode()
        + f"Sec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n".encode()
    )
    for channel in (0, 1):
        client.sendall(_frame(bytes([channel]) + struct.pack("<H", port)))
    with socket.create_connection(("127.0.0.1", backend)) as served:
        back = threading.Thread(target=_answer, args=(served, client), daemon=True)
        back.start()
        with contextlib.suppress(OSError):
            while (frame := _read(client)) is not None:
                served.sendall(frame[1:])
        with contextlib.suppress(OSError):
            served.shutdown(socket.SHUT_RDWR)
        back.join()


def _answer(served: socket.socket, client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := served.recv(65536):
            client.sendall(_frame(b"\0" + data))
        client.sendall(_frame(b"", 8))


def _frame(payload: bytes, opcode: int = 2) -> bytes:
    size = len(payload)
    head = bytes([0x80 | opcode, size]) if size < 126 else bytes([0x80 | opcode, 126]) + struct.pack(">H", size)
    if size >= 1 << 16:
        head = bytes([0x80 | opcode, 127]) + struct.pack(">Q", size)
    return head + payload


def _read(client: socket.socket) -> bytes | None:
    """One frame's payload; None at a close frame or the end."""
    head = _exactly(client, 2)
    if not head or head[0] & 15 == 8:
        return None
    size = head[1] & 127
    if size == 126:
        (size,) = struct.unpack(">H", _exactly(client, 2))
    elif size == 127:
        (size,) = struct.unpack(">Q", _exactly(client, 8))
    mask = _exactly(client, 4)
    payload = _exactly(client, size)
    return bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def _exactly(client: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count and (more := client.recv(count - len(found))):
        found += more
    return found
