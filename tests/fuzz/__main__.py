"""`make fuzz`: thousands of broken requests to a real server of this machine, at most 250 ms for /livez."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz import campaign
from tests.http.server import Server

LIVEZ_MS = 250


def main() -> int:
    """Run, print what was seen; 1 when something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, help="begin no request after so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="send the one request of this number")
    options = parser.parse_args()
    requests, first = (options.requests, 0) if options.only is None else (1, options.only)
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder) / "log", campaign.SETTINGS) as server:
        until = time.monotonic() + options.seconds if options.seconds else None
        report = asyncio.run(campaign.run(server, options.seed, requests, LIVEZ_MS, until, first))
    for fault in report.faults:
        print(f"FAULT {fault}\n")
    print(f"seed {options.seed}: {report}")
    if report.faults:
        print(f"One request again: python -m tests.fuzz --seed {options.seed} --only NUMBER", file=sys.stderr)
    return int(bool(report.faults))


if __name__ == "__main__":
    sys.exit(main())
