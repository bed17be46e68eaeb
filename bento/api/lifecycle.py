"""Starts and stops what answers requests: loads the detector, and closes it."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading

from bento import cpu, memory
from bento.detector import Detector
from bento.errors import ConfigError, ModelNotReady, WordtellError
from bento.jobs.access import Jobs
from bento.settings import ROOT, Settings

logger = logging.getLogger("wordtell")


class Lifecycle:
    """Loads the detector in the background, so that probes are answered meanwhile."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._detector: Detector | None = None
        self._fault: ModelNotReady = ModelNotReady()
        self.jobs = Jobs(settings.jobs, lambda: self.detector)
        self._thread = threading.Thread(target=self._load, name="load", daemon=True)

    def start(self) -> None:
        """Start to load."""
        self._thread.start()
        self.jobs.start()

    def stop(self) -> None:
        """Accept no more requests; finish those that run."""
        self.jobs.stop()
        self._fault = ModelNotReady("the server is shutting down")
        detector, self._detector = self._detector, None
        if detector is not None:
            detector.close()

    @property
    def detector(self) -> Detector:
        """Raises ModelNotReady with the reason until it is loaded, and if a lane has ended."""
        if self._detector is None:
            # One error, raised for every probe: without this it would keep the frames of all of them.
            raise self._fault.with_traceback(None)
        if not self._detector.whole:
            raise ModelNotReady("a lane has ended; restart the server, and report what its log says of it")
        return self._detector

    def _load(self) -> None:
        # The threads that compute are started from here, and begin with this priority.
        cpu.step_back()
        try:
            self._detector = Detector.load(self.settings)
            memory.settle()
        except WordtellError as error:
            logger.error("the model cannot be served: %s", error.message)
            self._fault = error if isinstance(error, ModelNotReady) else ModelNotReady(error.message)
        except Exception:
            logger.exception("the model cannot be served")
            self._fault = ModelNotReady("the model failed to load; the server's log says why")


def check(host: str, port: int) -> None:
    """Before a port is opened: would this server serve? Raises ConfigError or ArtifactError, or exits as the child did.

    The model is loaded and run in a child process, so that the worker's parent does not keep its memory.
    """
    command = [sys.executable, "-m", "bento.cli", "check"]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    child = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.DEVNULL, check=False)
    if child.returncode:
        raise SystemExit(child.returncode)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}; choose another port") from None
