"""What the commands print: tables, and the state of a release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from deploy import manifests, rollout, waiting
from deploy.engine import Engine, Revision
from deploy.rollout import Observed, PodLine, Verdict
from deploy.types import Object, Reference

if TYPE_CHECKING:
    from deploy.cluster import Cluster

_EXTRAS = ("HorizontalPodAutoscaler", "ScaledObject", "Ingress", "HTTPRoute", "InferenceService")
# Conditions that are good when they are False.
_FALSE_IS_GOOD = {"ScalingLimited", "Fallback", "Paused"}


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def listed(found: Sequence[Any], columns: Mapping[str, str]) -> str:
    """A table of data objects. `columns`: heading -> field."""
    return table([tuple(columns), *([str(getattr(one, name)) for name in columns.values()] for one in found)])


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

    @property
    def pods(self) -> list[PodLine]:
        """The pods of all workloads."""
        return [line for seen, _ in self.workloads for line in rollout.lines(seen)]

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
        cells = [("", "pod", "ready", "restarts", "state")]
        for line in self.pods:
            state = line.reason if line.current else f"{line.reason} (an earlier revision)"
            cells.append(("", line.name, "yes" if line.ready else "no", str(line.restarts), state))
        return table(rows) + ("\n\n" + table(cells) if self.pods else "")

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


def standing(cluster: Cluster, engine: Engine) -> Standing:
    """The state of the newest revision. Raises NoRevision."""
    past, objects = engine.past(), engine.objects()
    live = cluster.live(objects)
    observed = [waiting.observe(cluster, one, objects) for one in live if one.kind in waiting.WORKLOADS]
    judged = [(seen, rollout.judge(seen)) for seen in observed if seen]
    missing = [one for one, item in live.items() if item is None]
    extras = [item for one, item in live.items() if item and one.kind in _EXTRAS]
    return Standing(past, engine.description(), judged, extras, missing)


def describe(item: Object) -> str:
    """A scaler, route or InferenceService in one line.                                                     (pure)"""
    spec, status, parts = item["spec"], item.get("status") or {}, []
    conditions = status.get("conditions") or []
    match item["kind"]:
        case "HorizontalPodAutoscaler":
            few, most = spec.get("minReplicas", 1), spec["maxReplicas"]
            parts.append(f"{status.get('currentReplicas', 0)} replicas, {few} to {most}")
        case "Ingress":
            tls = {host for entry in spec.get("tls") or [] for host in entry.get("hosts") or []}
            hosts = [rule["host"] for rule in spec.get("rules") or [] if rule.get("host")]
            parts += [f"{'https' if host in tls else 'http'}://{host}" for host in hosts]
            given = (status.get("loadBalancer") or {}).get("ingress") or []
            parts.append(f"at {given[0].get('ip') or given[0].get('hostname')}" if given else "no address yet")
        case "HTTPRoute":
            parts += spec.get("hostnames") or []
            conditions = [one for parent in status.get("parents") or [] for one in parent.get("conditions") or []]
        case "InferenceService" if status.get("url"):
            parts.append(status["url"])
    for condition in conditions:
        kind, state = condition["type"], condition["status"]
        why = f" ({condition.get('reason', 'no reason')}: {condition.get('message', '')})"
        parts.append(f"{kind} {state}" + ("" if state == str(kind not in _FALSE_IS_GOOD) else why))
    return ", ".join(parts) or "there"
