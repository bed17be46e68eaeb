"""Databases of jobs, real ones."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bento.jobs.database import Database
from bento.jobs.store import Store
from bento.settings import JobsSettings
from tests.jobs.postgres import Postgres, programs

_numbers = itertools.count()
Open = Callable[..., Store]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if programs() is None:
        pytest.skip("there is no PostgreSQL under /usr/lib/postgresql: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="wordtell-pg-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        server = Postgres(Path(folder) / "pg")
        server.start()
        yield server
        server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The settings of a new database."""
    if request.param == "sqlite":
        return {"folder": str(tmp_path / "jobs")}
    return {"database_url": request.getfixturevalue("postgres").create(f"jobs{next(_numbers)}")}


@pytest.fixture
def store(where: dict[str, str]) -> Iterator[Open]:
    """Makes stores of one database, with more settings."""
    database: Database | None = None

    def make(**more: object) -> Store:
        nonlocal database
        settings = JobsSettings.model_validate({**where, **more})
        database = database or Database.open(settings)
        return Store(database, settings)

    yield make
    if database is not None:
        database.close()
