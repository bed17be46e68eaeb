"""Prints tables, and a line for each change in a rollout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from deploy import manifests, rollout
from deploy.engine import Revision
from deploy.rollout import Observed, Verdict
from deploy.types import Finding, Object, Reference


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def findings(found: Sequence[Finding]) -> str:
    """The preflight's table."""
    return table([("", "check", "finding", "remedy"), *((f.status, f.check, f.message, f.remedy) for f in found)])


def history(past: Sequence[Revision]) -> str:
    """The revisions' table."""
    return table([("revision", "state", "when", "chart"), *((str(r.number), r.state, r.when, r.chart) for r in past)])


class Progress:
    """Prints a line whenever something has changed."""

    def __init__(self, say: Any) -> None:
        self._say = say
        self._last: set[str] = set()

    def show(self, seen: Mapping[Reference, tuple[Observed, Verdict]]) -> None:
        """Print what has changed since the last look."""
        said = [f"{name}: {verdict.summary}" for name, (_, verdict) in seen.items()]
        for observed, _ in seen.values():
            said += [
                f"  Pod/{line.name}: {line.reason}"
                for line in rollout.lines(observed)
                if line.current and not line.ready
            ]
        for line in said:
            if line not in self._last:
                self._say(line)
        self._last = set(said)


@dataclass(frozen=True)
class Standing:
    """What `status` tells. `extras` are objects whose conditions or addresses matter; `missing` ought to be there."""

    history: Sequence[Revision]
    note: str
    workloads: Sequence[tuple[Observed, Verdict]]
    extras: Sequence[Object]
    missing: Sequence[Reference]

    @property
    def healthy(self) -> bool:
        """Whether the newest revision is deployed, complete and ready."""
        last = self.history[-1]
        whole = last.status == "deployed" and last.wait != "failed" and not self.missing
        return whole and all(verdict.done for _, verdict in self.workloads)

    def text(self) -> str:
        """One readable page."""
        now = self.history[-1]
        rows = [("revision", f"{now.number}, {now.state}, {now.when}, {self.note}")]
        for seen, verdict in self.workloads:
            images = [str(one["image"]) for one in manifests.containers(seen.workload) if "image" in one]
            rows += [("image", ", ".join(images))] if images else []
            rows.append((str(manifests.reference(seen.workload)), verdict.summary))
        rows += [(str(manifests.reference(item)), describe(item)) for item in self.extras]
        rows += [(str(one), "is not there: `apply` brings it back") for one in self.missing]
        pods = [line for seen, _ in self.workloads for line in rollout.lines(seen)]
        cells = [("", "pod", "ready", "restarts", "state")] if pods else []
        for line in pods:
            state = line.reason if line.current else f"{line.reason} (an earlier revision)"
            cells.append(("", line.name, "yes" if line.ready else "no", str(line.restarts), state))
        return table(rows) + ("\n\n" + table(cells) if cells else "")

    def json(self) -> Object:
        """The same as data."""
        return {
            "healthy": self.healthy,
            "history": [asdict(revision) for revision in self.history],
            "workloads": [
                {"name": str(manifests.reference(seen.workload)), "verdict": asdict(verdict),
                 "pods": [asdict(line) for line in rollout.lines(seen)]}
                for seen, verdict in self.workloads
            ],
            "others": {str(manifests.reference(item)): describe(item) for item in self.extras},
            "missing": [str(one) for one in self.missing],
        }  # fmt: skip


def describe(item: Object) -> str:
    """A scaler, route or InferenceService in one line.                                                     (pure)"""
    status = item.get("status") or {}
    parts = []
    if item["kind"] == "HorizontalPodAutoscaler":
        spec = item["spec"]
        parts.append(
            f"{status.get('currentReplicas', 0)} replicas, {spec.get('minReplicas', 1)} to {spec['maxReplicas']}"
        )
    if item["kind"] == "Ingress":
        tls = {host for entry in item["spec"].get("tls") or [] for host in entry.get("hosts") or []}
        hosts = [rule.get("host") for rule in item["spec"].get("rules") or [] if rule.get("host")]
        parts += [f"{'https' if host in tls else 'http'}://{host}" for host in hosts]
        given = (status.get("loadBalancer") or {}).get("ingress") or []
        parts.append(f"at {given[0].get('ip') or given[0].get('hostname')}" if given else "no address yet")
    if item["kind"] == "HTTPRoute":
        parts += list(item["spec"].get("hostnames") or [])
        status = {"conditions": [c for parent in status.get("parents") or [] for c in parent.get("conditions") or []]}
    if status.get("url"):
        parts.append(str(status["url"]))
    for condition in status.get("conditions") or []:
        good = "False" if condition["type"] in {"ScalingLimited", "Fallback", "Paused"} else "True"
        reason = f" ({condition.get('reason', 'no reason')}: {condition.get('message', '')})"
        parts.append(f"{condition['type']} {condition['status']}{'' if condition['status'] == good else reason}")
    return ", ".join(parts) or "there"
