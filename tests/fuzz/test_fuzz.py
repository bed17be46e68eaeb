"""A short run of the fuzzer; `make fuzz` is the long one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.fuzz import campaign, case
from tests.http.server import Server

REQUESTS = 400
# A shared machine may stall for a second; what a hostile body did before there were limits was 12 s.
LIVEZ_MS = 3_000


def test_broken_requests_do_no_harm(tmp_path: Path) -> None:
    with Server(tmp_path / "log", campaign.SETTINGS) as server:
        report = asyncio.run(campaign.run(server, 20, REQUESTS, LIVEZ_MS))
    assert not report.faults, "\n".join([*report.faults[:5], str(report)])
    assert report.requests == REQUESTS
    assert {"200", "422", "413", "404", "left"} <= set(report.outcomes), report


def test_a_case_is_made_of_its_seed_and_number() -> None:
    made = [case.make(3, index, "version") for index in range(100)]
    assert made == [case.make(3, index, "version") for index in range(100)]
    assert made != [case.make(4, index, "version") for index in range(100)]
