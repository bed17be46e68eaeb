"""Promises of docs/jobs.md that the store keeps, on both databases."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from sqlalchemy import text, update

from bento.errors import WordtellError
from bento.jobs import lines
from bento.jobs.database import Database
from bento.jobs.errors import JobsUnavailable, QuotaExceeded, UnknownJob
from bento.jobs.lines import Chunk
from bento.jobs.store import Store
from bento.jobs.tables import chunks, jobs
from bento.settings import JobsSettings
from tests.jobs.conftest import Open


def made(store: Store, owner: str = "one", count: int = 2, key: str | None = None, digest: str = "d") -> str:
    """A job of so many chunks of two texts."""
    job = store.begin(owner)
    payload = b"\n".join(lines.kept(index, f"text {index}") for index in range(2))
    store.add(job, [Chunk(2, payload)] * count, 10)
    return str(store.accept(job, owner, digest, key)["id"])


def test_a_text_has_one_result_however_often_it_was_scored(store: Open) -> None:
    ours = store(lease_s=30)
    job = made(ours, count=1)
    slow = ours.leases.take()
    assert slow is not None
    assert ours.leases.take() is None  # it is leased
    shift(ours, 31)
    quick = ours.leases.take()
    assert quick is not None
    assert (quick.number, quick.attempts) == (slow.number, 2)
    assert not ours.leases.renew(slow)
    assert not ours.leases.complete(slow, b"wrong\nwrong\n", 0, "old")
    assert ours.leases.complete(quick, b"right\nright\n", 1, "new")
    assert not ours.leases.complete(quick, b"again\nagain\n", 0, "new")
    assert not ours.leases.complete(slow, b"wrong\nwrong\n", 0, "old")
    found = ours.get(job, "one")
    assert (found["state"], found["texts_done"], found["texts_failed"]) == ("done", 2, 1)
    assert ours.results(job, "one", 0) == (b"right\nright\n", 0, 2)
    assert ours.versions(job) == ["new"]


def test_a_chunk_is_taken_by_one_of_many(store: Open) -> None:
    ours = store()
    made(ours, count=40)
    taken: list[int] = []

    def take() -> None:
        while lease := ours.leases.take():
            taken.append(lease.number)

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(40))


@pytest.mark.parametrize("seconds", [3600, -3600, 10**9, -(10**9)])
def test_a_clock_that_jumps_loses_nothing_and_counts_nothing_twice(store: Open, seconds: int) -> None:
    ours = store(lease_s=30, retention_h=80_000)
    job = made(ours, count=2)
    before = ours.leases.take()
    assert before is not None
    shift(ours, seconds)
    again = ours.leases.take()  # at once: nobody waits an hour for a lease from the future
    assert again is not None
    assert again.number == before.number
    assert ours.leases.complete(again, b"a\nb\n", 0, "v")
    assert not ours.leases.complete(before, b"x\ny\n", 0, "v")
    last = ours.leases.take()
    assert last is not None
    assert ours.leases.complete(last, b"c\nd\n", 0, "v")
    assert ours.get(job, "one")["state"] == "done"


def test_a_small_correction_of_the_clock_ends_no_lease(store: Open) -> None:
    ours = store(lease_s=30)
    made(ours, count=1)
    assert ours.leases.take()
    shift(ours, -3)
    assert ours.leases.take() is None


def test_the_same_idempotency_key_makes_no_second_job(store: Open) -> None:
    ours = store()
    first = made(ours, key="k")
    assert made(ours, key="k") == first  # it came at the same time, and was found out at the end
    assert made(ours, key="other") != first
    assert made(ours, owner="two", key="k") != first
    assert len(ours.of("one")) == 2


def test_a_job_belongs_to_the_api_key_that_made_it(store: Open) -> None:
    ours = store()
    job = made(ours)
    for call in (lambda: ours.get(job, "two"), lambda: ours.delete(job, "two"), lambda: ours.results(job, "two", 0)):
        with pytest.raises(UnknownJob):
            call()
    assert ours.of("two") == []
    assert ours.by_key("two", "k") is None


def test_several_jobs_are_served_in_turn(store: Open) -> None:
    """By key first: three jobs of one key get as many turns as one job of another."""
    ours = store()
    many = [made(ours, owner="many", count=9) for _ in range(3)]
    lone = made(ours, owner="lone", count=9)
    turns = [lease.job_id for _ in range(12) if (lease := ours.leases.take())]
    assert [turns.count(job) for job in (*many, lone)] == [2, 2, 2, 6]


def test_a_new_job_waits_for_no_other_to_end(store: Open) -> None:
    ours = store()
    made(ours, count=50)
    for _ in range(5):
        ours.leases.take()
    new = made(ours)
    assert new in {lease.job_id for _ in range(2) if (lease := ours.leases.take())}


def test_a_stopping_server_gives_its_chunks_back(store: Open) -> None:
    ours = store()
    made(ours, count=1)
    first = ours.leases.take()
    assert first is not None
    ours.leases.release(first)
    second = ours.leases.take()
    assert second is not None
    assert second.attempts == 1


def test_an_ended_job_is_deleted_after_its_retention(store: Open) -> None:
    ours = store(retention_h=1, receive_timeout_s=60)
    job, waiting = made(ours, count=1), made(ours, count=1)
    lease = ours.leases.take()
    assert lease is not None
    ours.leases.complete(lease, b"a\nb\n", 0, "v")
    ended, unfinished = (job, waiting) if lease.job_id == job else (waiting, job)
    half = ours.begin("one")
    assert ours.sweep() == 0
    shift(ours, 61)
    assert ours.sweep() == 1  # what never came to its end
    with pytest.raises(JobsUnavailable):
        ours.add(half, [Chunk(1, b"x")], 1)
    shift(ours, 3600)
    assert ours.sweep() == 1
    with pytest.raises(UnknownJob):
        ours.get(ended, "one")
    assert ours.get(unfinished, "one")["state"] == "queued"
    assert rows(ours, "chunks") == 1


def test_a_key_keeps_no_more_than_its_quota(store: Open) -> None:
    ours = store(max_jobs=2, max_stored_bytes=10_000)
    first = made(ours)
    made(ours)
    with pytest.raises(QuotaExceeded, match=r"keeps 2 jobs; the limit is 2 \(jobs.max_jobs\): delete a job"):
        ours.begin("one")
    made(ours, owner="two")
    ours.delete(first, "one")
    big = ours.begin("one")
    ours.add(big, [Chunk(1, b"x")], 20_000)
    with pytest.raises(QuotaExceeded, match=r"jobs\.max_stored_bytes"):
        ours.accept(big, "one", "d", None)


def test_a_deleted_job_is_gone_from_the_disk(tmp_path: Path) -> None:
    settings = JobsSettings(folder=tmp_path / "jobs")
    database = Database.open(settings)
    ours = Store(database, settings)
    theirs = "a text that nobody else may read"
    job = ours.begin("one")
    ours.add(job, [Chunk(1, lines.kept(number, theirs)) for number in range(2)], 10)
    ours.accept(job, "one", "d", None)
    lease = ours.leases.take()
    assert lease is not None
    ours.leases.complete(lease, lines.joined([lines.failed("an id of theirs", WordtellError(theirs[:16]))]), 1, "v")
    assert found(tmp_path, theirs)
    assert found(tmp_path, "an id of theirs")
    assert ours.delete(job, "one")["state"] == "cancelled"
    assert not found(tmp_path, theirs)
    assert not found(tmp_path, "an id of theirs")
    assert rows(ours, "chunks") == rows(ours, "jobs") == 0
    database.close()


def test_one_server_uses_a_folder(tmp_path: Path) -> None:
    settings = JobsSettings(folder=tmp_path)
    first = Database.open(settings)
    with pytest.raises(JobsUnavailable, match=r"another server uses jobs\.folder"):
        Database.open(settings)
    first.close()
    Database.open(settings).close()


def test_tables_are_what_the_migrations_make_and_newer_ones_are_left_alone(where: dict[str, str], store: Open) -> None:
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415 - this test's alone
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415

    ours = store()
    with ours._database.transaction() as connection:
        assert compare_metadata(MigrationContext.configure(connection), jobs.metadata) == []
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    ours._database.close()
    again = Database.open(JobsSettings.model_validate(where))  # the version before, in a rollout or after a rollback
    made(Store(again, JobsSettings.model_validate(where)))
    again.close()


def test_chunks_are_full_at_their_bytes_or_texts() -> None:
    small = lines.chunks_of([b"x"] * 3000)
    assert [chunk.texts for chunk in small] == [512] * 5 + [440]
    large = lines.chunks_of([b"x" * 50_000] * 5)
    assert [chunk.texts for chunk in large] == [2, 2, 1]
    assert lines.chunks_of([]) == []


def test_given_up_texts_keep_what_was_wrong_with_them() -> None:
    fault = lines.failed("b", WordtellError("its own"))
    found = lines.given_up(b"\n".join([lines.kept("a", "x"), fault]), "the chunk's")
    assert [json.loads(line)["error"]["message"] for line in found] == ["the chunk's", "its own"]


def shift(store: Store, seconds: float) -> None:
    """The clock jumps by so many seconds: what it gave before is so much further back."""
    with store._database.transaction() as connection:
        connection.execute(update(chunks).values(lease_until=chunks.c.lease_until - seconds))
        times = ("created", "touched", "started", "ended")
        connection.execute(update(jobs).values({name: jobs.c[name] - seconds for name in times}))


def rows(store: Store, table: str) -> int:
    with store._database.transaction(reads=True) as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608 - ours


def found(folder: Path, words: str) -> bool:
    return any(words.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())
