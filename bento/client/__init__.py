"""A client of a wordtell server: `Client`, and `AsyncClient` with the same methods to await (the extra `client`)."""

from bento.client.clients import AsyncClient, Client
from bento.client.errors import ClientError, Refused, Unreachable
from bento.client.exchange import Result

__all__ = ["AsyncClient", "Client", "ClientError", "Refused", "Result", "Unreachable"]
