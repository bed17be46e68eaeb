"""A connection to SQLite or PostgreSQL, with the newest tables in it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import ColumnElement, Connection, Engine, Float, cast, create_engine, event, func, literal, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError

from bento.errors import ConfigError
from bento.jobs.errors import JobsUnavailable
from bento.settings import JobsSettings

_FILE, _LOCK = "jobs.db", "lock"
_MIGRATIONS = Path(__file__).parent / "migrations"
# PostgreSQL's advisory lock for migrations: a number that no other program uses.
_MIGRATING = 7_283_645_190
# Seconds to connect, to wait for another's lock, and for a statement.
_PATIENCE_S = 5


class Database:
    """One database. All its transactions are short."""

    def __init__(self, engine: Engine, lock: IO[bytes] | None) -> None:
        self._engine = engine
        self._lock = lock  # held as long as this is open
        self.postgresql = engine.dialect.name == "postgresql"

    @classmethod
    def open(cls, settings: JobsSettings) -> Database:
        """Connect, and bring the tables up to date. Raises JobsUnavailable and ConfigError."""
        lock: IO[bytes] | None = None
        try:
            if settings.database_url is not None:
                engine = _postgresql(settings.database_url.get_secret_value())
            else:
                assert settings.folder is not None  # noqa: S101 - jobs are off otherwise
                lock = _only_server(settings.folder)
                engine = _sqlite(settings.folder / _FILE)
            database = cls(engine, lock)
            with database.transaction() as connection:
                _migrate(connection)
        except BaseException:
            if lock is not None:
                lock.close()
            raise
        return database

    @property
    def now(self) -> ColumnElement[float]:
        """The time, by the database's own clock; SQLite's is this machine's."""
        if self.postgresql:
            return cast(func.extract("epoch", func.clock_timestamp()), Float(53))
        return literal(time.time(), Float(53))

    @contextmanager
    def transaction(self, *, reads: bool = False) -> Iterator[Connection]:
        """Committed at the end of the block. reads: it writes nothing. Raises JobsUnavailable, IntegrityError."""
        try:
            with self._engine.connect().execution_options(reads=reads) as connection, connection.begin():
                yield connection
        except IntegrityError:
            raise
        except DBAPIError as error:
            raise _translated(error) from error
        except SQLAlchemyError as error:  # no connection of the pool is free
            raise JobsUnavailable("the jobs' database does not answer") from error

    def erase(self) -> None:
        """Remove deleted data from SQLite's write-ahead log. In PostgreSQL, VACUUM does that."""
        if self.postgresql:
            return
        try:
            connection = self._engine.raw_connection()
            try:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                connection.close()
        except (SQLAlchemyError, sqlite3.Error):
            return  # a reader is active, or the disk is full: it is tried again later

    def close(self) -> None:
        """End every connection."""
        self._engine.dispose()
        if self._lock is not None:
            self._lock.close()


def _postgresql(url: str) -> Engine:
    try:
        made = make_url(url).set(drivername="postgresql+psycopg")
        return create_engine(
            made,
            pool_pre_ping=True,
            pool_size=4,
            max_overflow=4,
            pool_timeout=_PATIENCE_S,
            hide_parameters=True,  # of errors: they are texts
            connect_args={
                "connect_timeout": _PATIENCE_S,
                "application_name": "wordtell",
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 15_000,
                "options": f"-c statement_timeout={_PATIENCE_S * 6}s -c lock_timeout={_PATIENCE_S}s"
                " -c idle_in_transaction_session_timeout=60s",
            },
        )
    except (ArgumentError, ValueError):
        raise ConfigError("jobs.database_url: cannot be read as postgresql://user:password@host:5432/name") from None
    except ModuleNotFoundError:
        raise ConfigError("jobs.database_url: needs psycopg: pip install 'wordtell[postgres]'") from None


def _sqlite(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}", connect_args={"timeout": _PATIENCE_S, "isolation_level": None}, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: object) -> None:
        # FULL: what is committed outlives a power cut. secure_delete: what is deleted is overwritten.
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "secure_delete=ON",
            "foreign_keys=ON",
            "wal_autocheckpoint=256",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Two transactions that read first and write then would wait for each other.
        reads = connection.get_execution_options().get("reads")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _only_server(folder: Path) -> IO[bytes]:
    """The lock of a folder. Raises JobsUnavailable."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(folder / _FILE, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite's would be world-readable
        lock = (folder / _LOCK).open("ab")
    except OSError as error:
        raise JobsUnavailable("jobs.folder cannot be written to", f"{folder}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise JobsUnavailable("another server uses jobs.folder", f"{folder}; several need jobs.database_url") from None
    return lock


def _migrate(connection: Connection) -> None:
    """One server at a time. Tables that are newer than this version are left alone: a migration only adds."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATING})
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    revision = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is None or revision in known:
        command.upgrade(config, "head")


def _translated(error: DBAPIError) -> JobsUnavailable:
    """The error without any client's text: only the first line of the driver's message is safe."""
    first = next(iter(str(error.orig).strip().splitlines()), type(error.orig).__name__)[:200]
    # 53100 is PostgreSQL's disk_full.
    full = "disk is full" in first or getattr(error.orig, "sqlstate", None) == "53100"
    return JobsUnavailable("the disk of the jobs' database is full" if full else "the jobs' database is away", first)
