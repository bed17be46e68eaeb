"""A Ray cluster of two workers on this machine, of which one ends on the way. Prints JSON; run by test_cluster.py."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from bento import settings
from bulk import commands

MEMORY = 150 << 20


def main() -> None:
    """Arguments: input, output, whether a worker is killed."""
    source, out, kill = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "kill"
    cluster = Cluster()
    cluster.add_node(num_cpus=0, object_store_memory=MEMORY)
    workers = [cluster.add_node(num_cpus=2, object_store_memory=MEMORY) for _ in range(2)]
    killed = threading.Event()

    def end_one() -> None:
        while not list(out.glob("*.jsonl")):
            time.sleep(0.05)
        killed.set()
        cluster.remove_node(workers[1], allow_graceful=False)

    if kill:
        threading.Thread(target=end_one, daemon=True).start()
    order = commands.order(
        source, str(out), text=None, name=None, include="scores", kind=None, output_format="jsonl", rows=1000
    )
    outcomes = []
    for _ in range(2):  # the second finds all done
        outcome = commands.on_ray(order, settings.load().settings, cluster.address, None)
        outcomes.append([outcome.rows, outcome.errors])
    print("\n" + json.dumps({"outcomes": outcomes, "killed": killed.is_set()}), flush=True)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
