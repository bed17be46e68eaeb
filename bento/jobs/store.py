"""What clients do with jobs, and their deletion after their retention; each step is one short transaction."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Update, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from bento.jobs.database import Database
from bento.jobs.errors import JobsUnavailable, QuotaExceeded, UnknownJob
from bento.jobs.leases import LIVE, Leases
from bento.jobs.lines import Chunk
from bento.jobs.tables import chunks, jobs
from bento.settings import JobsSettings

# Hidden jobs: one that is still being received, and one that is being deleted, a few chunks a transaction.
_HIDDEN = ("receiving", "deleted")
_DELETED_AT_ONCE = 16
STATES = ("queued", "running", "done", "failed")
Job = Mapping[str, Any]


@dataclass(frozen=True)
class Load:
    """Jobs by state, texts that wait to be scored, and the seconds since the oldest unfinished job came."""

    jobs: Mapping[str, int]
    texts: int
    oldest_s: float


class Store:
    """The jobs of all servers that share a database. Every method raises JobsUnavailable while it does not answer."""

    def __init__(self, database: Database, settings: JobsSettings) -> None:
        self._database = database
        self._settings = settings
        self.leases = Leases(database, settings)

    def begin(self, owner: str) -> str:
        """A new job, which takes texts until it is accepted. Raises QuotaExceeded."""
        job_id, limits = uuid.uuid4().hex, self._settings
        self._expect_disk()
        with self._database.transaction() as connection:
            kept = connection.execute(
                select(func.count(), func.coalesce(func.sum(jobs.c.size), 0)).where(jobs.c.owner == owner)
            ).one()
            if kept[0] >= limits.max_jobs:
                raise QuotaExceeded(kept[0], limits.max_jobs, "jobs", "jobs.max_jobs")
            if kept[1] >= limits.max_stored_bytes:
                raise QuotaExceeded(int(kept[1]), limits.max_stored_bytes, "bytes", "jobs.max_stored_bytes")
            counts = dict.fromkeys(
                ("size", "texts", "texts_done", "texts_failed", "chunks", "chunks_done", "chunks_dead", "served"), 0
            )
            now = self._database.now
            connection.execute(
                insert(jobs).values(
                    id=job_id, owner=owner, digest="", state="receiving", created=now, touched=now, **counts
                )
            )
        return job_id

    def add(self, job_id: str, found: Sequence[Chunk], size: int) -> None:
        """More texts of a job that is not accepted yet; `size` bytes of its body."""
        self._expect_disk()
        with self._database.transaction() as connection:
            job = connection.execute(
                update(jobs)
                .where(jobs.c.id == job_id, jobs.c.state == "receiving")
                .values(
                    texts=jobs.c.texts + sum(chunk.texts for chunk in found),
                    chunks=jobs.c.chunks + len(found),
                    size=jobs.c.size + size,
                    touched=self._database.now,
                )
                .returning(jobs.c.texts, jobs.c.chunks)
            ).one_or_none()
            if job is None:
                raise JobsUnavailable("the job was given up, because nothing of it came for too long")
            first = job.texts - sum(chunk.texts for chunk in found)
            rows = []
            for number, chunk in enumerate(found, job.chunks - len(found)):
                place = {"job_id": job_id, "number": number, "first": first, "texts": chunk.texts}
                rows.append({**place, "open": True, "attempts": 0, "payload": chunk.payload})
                first += chunk.texts
            if rows:
                connection.execute(insert(chunks), rows)

    def accept(self, job_id: str, owner: str, digest: str, key: str | None) -> Job:
        """Accept a job: all its texts are stored. If an earlier job has the same key, returns that one and deletes this
        one."""
        try:
            with self._database.transaction() as connection:
                # Jobs of one key may arrive at the same time, so the quota is checked again when this one is complete.
                total = select(func.sum(jobs.c.size)).where(jobs.c.owner == owner).scalar_subquery()
                if (kept := int(connection.execute(select(total)).scalar_one())) > self._settings.max_stored_bytes:
                    raise QuotaExceeded(kept, self._settings.max_stored_bytes, "bytes", "jobs.max_stored_bytes")
                job = connection.execute(
                    update(jobs)
                    .where(jobs.c.id == job_id, jobs.c.state == "receiving")
                    .values(state="queued", digest=digest, idempotency_key=key, created=self._database.now)
                    .returning(*jobs.c)
                ).one_or_none()
        except IntegrityError:
            self.delete(job_id, owner)
            earlier = self.by_key(owner, key or "")
            if earlier is None:
                raise JobsUnavailable("the earlier job of this Idempotency-Key has just been deleted") from None
            return earlier
        if job is None:
            raise JobsUnavailable("the job was given up, because nothing of it came for too long")
        return _shown(job)

    def by_key(self, owner: str, key: str) -> Job | None:
        """The job of an Idempotency-Key."""
        return self._one(jobs.c.owner == owner, jobs.c.idempotency_key == key)

    def get(self, job_id: str, owner: str) -> Job:
        """One job. Raises UnknownJob."""
        found = self._one(jobs.c.id == job_id, jobs.c.owner == owner, jobs.c.state.not_in(_HIDDEN))
        if found is None:
            raise UnknownJob
        return found

    def of(self, owner: str) -> list[Job]:
        """Every job of a key, the newest first."""
        mine = jobs.c.owner == owner, jobs.c.state.not_in(_HIDDEN)
        with self._database.transaction(reads=True) as connection:
            found = connection.execute(
                select(jobs, self._database.now.label("now")).where(*mine).order_by(jobs.c.created.desc(), jobs.c.id)
            )
            return [_shown(row) for row in found]

    def versions(self, job_id: str) -> list[str]:
        """Versions of the model that have scored chunks of a job."""
        column = chunks.c.model_version
        with self._database.transaction(reads=True) as connection:
            found = select(column).where(chunks.c.job_id == job_id, column.is_not(None)).distinct().order_by(column)
            return list(connection.execute(found).scalars())

    def results(self, job_id: str, owner: str, start: int) -> tuple[bytes, int, int] | None:
        """The results of the chunk that holds text `start`, its first text, and the one behind its last.

        None where that chunk is not done, or there is none. Raises UnknownJob.
        """
        self.get(job_id, owner)
        with self._database.transaction(reads=True) as connection:
            found = connection.execute(
                select(chunks.c.results, chunks.c.first, chunks.c.texts)
                .where(chunks.c.job_id == job_id, chunks.c.first <= start, chunks.c.first + chunks.c.texts > start)
                .where(chunks.c.results.is_not(None))
            ).one_or_none()
        return None if found is None else (found.results, found.first, found.first + found.texts)

    def delete(self, job_id: str, owner: str) -> Job:
        """End and forget a job, with all texts and results of it. Raises UnknownJob."""
        with self._database.transaction() as connection:
            mine = jobs.c.id == job_id, jobs.c.owner == owner, jobs.c.state != "deleted"
            found = connection.execute(select(jobs, self._database.now.label("now")).where(*mine)).one_or_none()
            if found is None:
                raise UnknownJob
            connection.execute(_deleting().where(*mine))
        self._purge()
        return {**_shown(found), "state": "cancelled" if found.state in LIVE else found.state}

    def sweep(self) -> int:
        """Delete ended jobs after their retention, and incomplete ones. Returns how many."""
        now, limits = self._database.now, self._settings
        with self._database.transaction() as connection:
            over = or_(
                jobs.c.ended < now - limits.retention_h * 3600,
                and_(jobs.c.state == "receiving", jobs.c.touched < now - limits.receive_timeout_s),
            )
            found = connection.execute(_deleting().where(over, jobs.c.state != "deleted")).rowcount
        self._purge()
        return found

    def load(self) -> Load:
        """Counts of jobs and waiting texts."""
        live = jobs.c.state.in_(LIVE)
        with self._database.transaction(reads=True) as connection:
            states = {
                row[0]: row[1] for row in connection.execute(select(jobs.c.state, func.count()).group_by(jobs.c.state))
            }
            waiting = func.coalesce(func.sum(jobs.c.texts - jobs.c.texts_done), 0)
            texts, oldest = connection.execute(
                select(waiting, self._database.now - func.min(jobs.c.created)).where(live)
            ).one()
        return Load({state: states.get(state, 0) for state in STATES}, int(texts), max(0.0, float(oldest or 0.0)))

    def _purge(self) -> None:
        """Delete in steps, because each delays all other writes in SQLite."""
        while True:
            with self._database.transaction() as connection:
                one = select(jobs.c.id).where(jobs.c.state == "deleted").limit(1)
                job_id = connection.execute(one).scalar_one_or_none()
                if job_id is None:
                    break
                some = select(chunks.c.number).where(chunks.c.job_id == job_id).limit(_DELETED_AT_ONCE)
                numbers = list(connection.execute(some).scalars())
                if numbers:
                    connection.execute(delete(chunks).where(chunks.c.job_id == job_id, chunks.c.number.in_(numbers)))
                else:
                    connection.execute(delete(jobs).where(jobs.c.id == job_id))
        self._database.erase()

    def _expect_disk(self) -> None:
        """Raises JobsUnavailable if the disk would be too full for results and deletions."""
        folder = self._settings.folder
        if folder is not None and shutil.disk_usage(folder).free < self._settings.min_free_mb << 20:
            raise JobsUnavailable("the disk of the jobs' database is full", f"{folder} (jobs.min_free_mb)")

    def _one(self, *which: ColumnElement[bool]) -> Job | None:
        with self._database.transaction(reads=True) as connection:
            found = connection.execute(select(jobs, self._database.now.label("now")).where(*which)).one_or_none()
        return None if found is None else _shown(found)


def _deleting() -> Update:
    return update(jobs).values(state="deleted", idempotency_key=None)


def _shown(row: Row[Any]) -> Job:
    return dict(row._mapping)
