"""Helm's engine: the only importer of `helm_python`. Helm's messages become our errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy import manifests
from deploy.errors import ClusterError, NoRevision, ReleaseFailed, RenderError
from deploy.types import HELM, Object, Reference, Release

# A label of Helm's record of a revision: the state of its pods. "until-<unix time>" while a command waits for them.
WAIT = "wordtell.dev/wait"
# Revisions that Helm keeps, as its command does.
_KEPT = 10


@dataclass(frozen=True)
class Revision:
    """One revision of a release, as Helm reports it. `wait` is the label WAIT: until-..., ready, unwatched, failed, or
    empty."""

    number: int
    status: str
    when: str
    chart: str
    wait: str

    @property
    def good(self) -> bool:
        """Whether it was deployed, and its pods did not fail."""
        return self.status in ("deployed", "superseded") and self.wait != "failed"

    @property
    def state(self) -> str:
        """Helm's status, and that of the pods if it differs."""
        if self.wait.startswith("until-") and self.status == "deployed":
            return "deployed, waiting"
        return f"{self.status}, failed" if self.wait == "failed" and self.status != "failed" else self.status


def helm() -> Any:
    """The module, loaded when it is needed: its library has 80 MB. Raises RenderError."""
    try:
        import helm_python  # noqa: PLC0415
    except ImportError:
        raise RenderError("this needs helm-python-sdk: pip install 'wordtell[deploy]'") from None
    return helm_python


def be_helm() -> None:
    """Start this process anew under the name `helm`, which Helm's library takes for the name of its field manager.

    Otherwise fields would belong to `python3.11` or whatever the interpreter is called, and `helm upgrade` by hand, or
    another interpreter, would conflict with them. The SDK has no other way to set it.
    """
    if os.name == "posix" and HELM != "helm":
        os.execv(sys.executable, [str(Path(sys.executable).parent / "helm"), *sys.orig_argv[1:]])  # noqa: S606


class Engine:
    """The releases of one name in one namespace. Every method raises ReleaseFailed or ClusterError."""

    def __init__(self, release: Release, kubeconfig: str | None = None, context: str | None = None) -> None:
        self.release = release
        self._pool = ThreadPoolExecutor(1)
        options = {"kubeconfig_path": kubeconfig, "kube_context": context, "namespace": release.namespace}
        self._config = self._do(helm().Config, **options)

    def history(self) -> list[Revision]:
        """All revisions that Helm keeps, the oldest first; none if there is no release."""
        try:
            return self.past()
        except NoRevision:
            return []

    def past(self) -> list[Revision]:
        """The history of an existing release. Raises NoRevision."""
        return [
            Revision(
                entry["revision"], entry["status"], entry["deployed_at"],
                f"{entry['chart_name']}-{entry['chart_version']}", (entry.get("labels") or {}).get(WAIT, ""),
            )
            for entry in self._do(self._config.history, self.release.name)
        ]  # fmt: skip

    def objects(self, revision: int | None = None) -> list[Object]:
        """The objects of a revision (None: the newest), without hooks. Raises NoRevision."""
        found = self._do(self._config.status, self.release.name, revision=revision)
        return manifests.parse(found["manifest"], "Helm's record", self.release.namespace)

    def description(self) -> str:
        """Helm's note of what the newest revision is."""
        return str(self._do(self._config.get_all, self.release.name)["info"].get("description", ""))

    def deploy(self, chart: Path, values: Object, *, first: bool, label: str, note: str | None = None) -> int:
        """Install or upgrade, without waiting for pods; the number of the new revision."""
        options: Object = {"wait": "hookOnly", "labels": {WAIT: label}, "description": note}
        if not first:
            # Without values Helm would use those of the earlier revision, not those that were examined.
            options |= {"reset_values": True, "max_history": _KEPT}
        run = self._config.install if first else self._config.upgrade
        return int(self._do(run, chart, self.release.name, values, **options)["revision"])

    def rollback(self, revision: int) -> int:
        """Make an earlier revision the newest again; the number of the new one."""
        self._do(self._config.rollback, self.release.name, version=revision, wait="hookOnly")
        return self.past()[-1].number

    def uninstall(self) -> None:
        """Start to delete all objects, and the record."""
        self._do(self._config.uninstall, self.release.name, wait="hookOnly")

    def record(self, revision: int) -> Reference:
        """The Secret in which Helm keeps a revision."""
        return Reference("v1", "Secret", self.release.namespace, f"sh.helm.release.v1.{self.release.name}.v{revision}")

    def _do(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call the library. An interruption waits until Helm's step has ended, so that its record is complete."""
        running = self._pool.submit(call, *arguments, **options)
        try:
            return running.result()
        except KeyboardInterrupt:
            print("stopping: Helm ends its step first", file=sys.stderr)
            running.exception()
            raise
        except helm().HelmNotFoundError:
            raise NoRevision(self.release) from None
        except helm().HelmError as error:
            kind = ClusterError if isinstance(error, helm().HelmKubeError) else ReleaseFailed
            raise kind(" ".join(str(error.detail).split())) from None
