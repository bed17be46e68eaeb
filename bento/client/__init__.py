"""Clients of a wordtell server (extra `client`): `Client`, and `AsyncClient`, which has the same methods to await."""

from bento.client.clients import AsyncClient, AsyncJobs, Client, Jobs
from bento.client.errors import ClientError, Refused, Unreachable
from bento.client.exchange import Result
from bento.client.jobs import JobResult
from bento.jobs.told import Job

__all__ = [
    "AsyncClient",
    "AsyncJobs",
    "Client",
    "ClientError",
    "Job",
    "JobResult",
    "Jobs",
    "Refused",
    "Result",
    "Unreachable",
]
