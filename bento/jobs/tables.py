"""The two tables. Times are seconds since 1970 by the database's own clock.

A job's texts are cut into chunks, the unit of work. `payload` holds a chunk's texts until they are scored, `results`
its result lines from then on; both are JSON Lines in UTF-8.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("owner", String(64), nullable=False),  # a digest of the API key
    Column("idempotency_key", String(255)),
    Column("digest", String(64), nullable=False),  # SHA-256 of the body
    Column("state", String(16), nullable=False),  # receiving, queued, running, done, failed, deleted
    Column("reason", Text),  # why it failed
    Column("size", BigInteger, nullable=False),  # bytes of the body
    Column("texts", Integer, nullable=False),
    Column("texts_done", Integer, nullable=False),  # with those at fault
    Column("texts_failed", Integer, nullable=False),
    Column("chunks", Integer, nullable=False),
    Column("chunks_done", Integer, nullable=False),  # with those given up
    Column("chunks_dead", Integer, nullable=False),
    Column("served", BigInteger, nullable=False),  # a count of turns: the job with the least is next
    Column("created", Float(53), nullable=False),
    Column("touched", Float(53), nullable=False),  # when bytes of it last came
    Column("started", Float(53)),
    Column("ended", Float(53)),
    UniqueConstraint("owner", "idempotency_key", name="jobs_idempotency"),
)

chunks = Table(
    "chunks",
    metadata,
    Column("job_id", String(32), ForeignKey("jobs.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("first", Integer, nullable=False),  # how many texts of the job are before it
    Column("texts", Integer, nullable=False),
    Column("open", Boolean, nullable=False),  # neither done nor given up
    Column("lease_token", String(32)),
    Column("lease_until", Float(53)),
    Column("attempts", Integer, nullable=False),
    Column("model_version", String(255)),
    Column("payload", LargeBinary),
    Column("results", LargeBinary),
    Index("chunks_open", "job_id", "open", "number"),
)
