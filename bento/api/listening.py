"""Prepares the process before it listens: uvicorn's class for connections, and the limit of open files."""

from __future__ import annotations

import logging

from uvicorn import config as uvicorn_config

from bento.api.connection import Connection
from bento.settings import ApiSettings

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]  # asked before it is used

logger = logging.getLogger("wordtell")

# Files that the process has open beside its connections.
_FILES = 128


def install(limits: ApiSettings) -> None:
    """Make uvicorn use `Connection`, wherever it is started from in this process, and allow so many open files."""
    Connection.limits = limits
    Connection.most = _allow_files(limits.max_connections)
    uvicorn_config.HTTP_PROTOCOLS["auto"] = f"{Connection.__module__}:{Connection.__name__}"


def _allow_files(connections: int) -> int:
    """Raise the process's limit of open files for this many connections, and return how many it allows."""
    if resource is None:
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (OSError, ValueError):  # macOS has a lower limit than it says
        allowed = soft
    if allowed < wanted:
        logger.warning("api.max_connections is %d, but the system allows %d open files", connections, allowed)
    return max(1, allowed - _FILES)
