"""Three rollouts of the real server under load, behind what plays a Service: no request fails."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx

from tests.http.server import Server

PATH = "/api/v1/predict/sentences"
CALLERS = 4
REQUESTS = 1000
# The chart's `preStopSeconds`, shortened, and how long a node goes on to send connections to a pod that is being ended.
PRE_STOP_S = 2.0
LAG_S = 1.0


class Service:
    """As kube-proxy: each new connection goes to one of the endpoints, and stays there until one side closes it."""

    def __init__(self) -> None:
        self.endpoints: list[int] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                port = random.choice(self.endpoints)  # noqa: S311
                threading.Thread(target=_pass_on, args=(client, port), daemon=True).start()


def _pass_on(client: socket.socket, port: int) -> None:
    with client, socket.create_connection(("127.0.0.1", port)) as server:
        back = threading.Thread(target=_pump, args=(server, client))
        back.start()
        _pump(client, server)
        back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end, how in ((source, socket.SHUT_RD), (target, socket.SHUT_WR)):
        with suppress(OSError):
            end.shutdown(how)


class Callers:
    """Send one request after the other until told to stop: half of them on connections that they keep."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}{PATH}"
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(CALLERS)]
        self.outcomes: Counter[str] = Counter()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _call(self, number: int) -> None:
        count = 0
        with httpx.Client(timeout=60, headers={"Connection": "close"} if number % 2 else {}) as client:
            while not self._stop.is_set():
                count += 1
                try:
                    answer = client.post(self._address, json={"sentences": [f"Caller {number} asks {count} times."]})
                    self.outcomes[str(answer.status_code)] += 1
                except httpx.TransportError as error:
                    self.outcomes[repr(error)] += 1
                time.sleep(0.02)


def test_three_rollouts_fail_no_request(tmp_path: Path) -> None:
    service = Service()
    with ExitStack() as pods:
        old = pods.enter_context(Server(tmp_path / "0.log", {}))
        service.endpoints = [old.port]
        callers = Callers(service.port)
        pods.callback(callers.stop)
        for rollout in range(1, 4):
            new = pods.enter_context(Server(tmp_path / f"{rollout}.log", {}))
            service.endpoints = [old.port, new.port]
            time.sleep(1)
            ending = time.monotonic()
            time.sleep(LAG_S)
            service.endpoints = [new.port]
            time.sleep(PRE_STOP_S - (time.monotonic() - ending))
            old.__exit__()
            assert old.process.returncode == 0
            old = new
        while sum(callers.outcomes.values()) < REQUESTS:
            time.sleep(0.1)
        callers.stop()
    service.close()
    assert set(callers.outcomes) == {"200"}
    assert callers.outcomes["200"] >= REQUESTS
