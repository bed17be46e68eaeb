"""Leases: each chunk of a job counts once, whichever server scores it.

A chunk is leased under a token of its own. Its results are written, its texts deleted and its job's counts raised in
one transaction that checks this token, so it counts once, however often it was run. The order of locks is chunk, job.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, func, literal, or_, select, update

from bento.jobs.database import Database
from bento.jobs.tables import chunks, jobs
from bento.settings import JobsSettings

# States of a job that has chunks to score.
LIVE = ("queued", "running")
# A clock that is corrected by less moves in small steps, and ends no lease.
_SLEW_S = 5


@dataclass(frozen=True)
class Lease:
    """A chunk to score. attempts: how many servers have taken it, with this one."""

    job_id: str
    owner: str
    number: int
    texts: int
    attempts: int
    token: str
    payload: bytes


class Leases:
    """The chunks of all servers that share a database. Every method raises JobsUnavailable while it does not answer."""

    def __init__(self, database: Database, settings: JobsSettings) -> None:
        self._database = database
        self._settings = settings

    def take(self) -> Lease | None:
        """The next chunk: of the key, then of the job, that has waited longest for its turn."""
        now = self._database.now
        turn = func.max(jobs.c.served).over(partition_by=jobs.c.owner)
        with self._database.transaction() as connection:
            waiting = connection.execute(
                select(jobs.c.id, jobs.c.owner).where(jobs.c.state.in_(LIVE)).order_by(turn, jobs.c.served, jobs.c.id)
            ).all()
            for job in waiting:
                next_one = (
                    select(chunks.c.number)
                    .where(chunks.c.job_id == job.id, chunks.c.open, self._free(now))
                    .order_by(chunks.c.number)
                    .limit(1)
                    .with_for_update(skip_locked=True)
                    .scalar_subquery()
                )
                token = uuid.uuid4().hex
                taken = connection.execute(
                    update(chunks)
                    .where(chunks.c.job_id == job.id, chunks.c.number == next_one)
                    .values(lease_token=token, lease_until=now + self._settings.lease_s, attempts=chunks.c.attempts + 1)
                    .returning(chunks.c.number, chunks.c.texts, chunks.c.attempts, chunks.c.payload)
                ).one_or_none()
                if taken is None:
                    continue
                last = select(func.max(jobs.c.served)).scalar_subquery()
                connection.execute(
                    update(jobs)
                    .where(jobs.c.id == job.id)
                    .values(served=last + 1, state="running", started=func.coalesce(jobs.c.started, now))
                )
                return Lease(job.id, job.owner, taken.number, taken.texts, taken.attempts, token, taken.payload)
        return None

    def renew(self, lease: Lease) -> bool:
        """Renew the lease. Returns whether the chunk still belongs to this server."""
        with self._database.transaction() as connection:
            until = self._database.now + self._settings.lease_s
            return connection.execute(update(chunks).where(_held(lease)).values(lease_until=until)).rowcount == 1

    def release(self, lease: Lease) -> None:
        """Give a chunk back unscored, because this server stops."""
        back = {"lease_token": None, "lease_until": None, "attempts": chunks.c.attempts - 1}
        with self._database.transaction() as connection:
            connection.execute(update(chunks).where(_held(lease)).values(**back))

    def complete(self, lease: Lease, results: bytes, failed: int, version: str, dead: str | None = None) -> bool:
        """Write a chunk's results, `failed` of them errors. False if another server did, or may be doing it.

        dead: why the chunk is given up.
        """
        with self._database.transaction() as connection:
            done = connection.execute(
                update(chunks)
                .where(_held(lease))
                .values(
                    open=False, results=results, payload=None, model_version=None if dead else version,
                    lease_token=None, lease_until=None,
                )
            )  # fmt: skip
            if done.rowcount != 1:
                return False
            ended = jobs.c.chunks_done + 1 == jobs.c.chunks
            lost = jobs.c.chunks_dead + (1 if dead else 0)
            connection.execute(
                update(jobs)
                .where(jobs.c.id == lease.job_id, jobs.c.state.in_(LIVE))
                .values(
                    texts_done=jobs.c.texts_done + lease.texts,
                    texts_failed=jobs.c.texts_failed + failed,
                    chunks_done=jobs.c.chunks_done + 1,
                    chunks_dead=lost,
                    reason=func.coalesce(jobs.c.reason, literal(dead)) if dead else jobs.c.reason,
                    state=case((ended & (lost > 0), "failed"), (ended, "done"), else_=jobs.c.state),
                    ended=case((ended, self._database.now), else_=jobs.c.ended),
                )
            )
        return True

    def _free(self, now: ColumnElement[float]) -> ColumnElement[bool]:
        """The condition for a free chunk: no lease, or an expired one. A lease that ends too far in the future comes
        from a clock that was set back."""
        until = chunks.c.lease_until
        return or_(until.is_(None), until < now, until > now + self._settings.lease_s + _SLEW_S)


def _held(lease: Lease) -> ColumnElement[bool]:
    return and_(
        chunks.c.job_id == lease.job_id,
        chunks.c.number == lease.number,
        chunks.c.open,
        chunks.c.lease_token == lease.token,
    )
