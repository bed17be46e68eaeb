"""What the commands print: tables, and the state of a release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from deploy import manifests, rollout, waiting
from deploy.engine import Engine
from deploy.types import Object

if TYPE_CHECKING:
    from deploy.cluster import Cluster

_OTHERS = ("HorizontalPodAutoscaler", "ScaledObject", "Ingress", "HTTPRoute", "InferenceService")
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


def standing(cluster: Cluster, engine: Engine) -> Object:
    """The state of the newest revision, as `status --json` prints it. Raises NoRevision.

    `others` are objects whose conditions or addresses matter, `missing` those that ought to be there.
    """
    past, objects = engine.past(), engine.objects()
    live = cluster.live(objects)
    observed = [waiting.observe(cluster, one, objects) for one in live if one.kind in waiting.WORKLOADS]
    judged = [(seen, rollout.judge(seen)) for seen in observed if seen]
    missing = [str(one) for one, item in live.items() if item is None]
    whole = past[-1].status == "deployed" and past[-1].wait != "failed" and not missing
    return {
        "healthy": whole and all(verdict.done for _, verdict in judged),
        "state": past[-1].state,
        "note": engine.description(),
        "history": [asdict(revision) for revision in past],
        "workloads": [
            {
                "name": str(manifests.reference(seen.workload)),
                "images": [str(one["image"]) for one in manifests.containers(seen.workload) if "image" in one],
                "verdict": asdict(verdict),
                "pods": [asdict(line) for line in rollout.lines(seen)],
            }
            for seen, verdict in judged
        ],
        "others": {str(one): describe(item) for one, item in live.items() if item and one.kind in _OTHERS},
        "missing": missing,
    }


def page(found: Object) -> str:
    """What `standing` found, for a reader."""
    now = found["history"][-1]
    rows = [("revision", f"{now['number']}, {found['state']}, {now['when']}, {found['note']}")]
    for workload in found["workloads"]:
        rows += [("image", ", ".join(workload["images"]))] if workload["images"] else []
        rows.append((workload["name"], workload["verdict"]["summary"]))
    rows += found["others"].items()
    rows += [(name, "is not there: `apply` brings it back") for name in found["missing"]]
    cells = [("", "pod", "ready", "restarts", "state")]
    for pod in (pod for workload in found["workloads"] for pod in workload["pods"]):
        state = pod["reason"] + ("" if pod["current"] else " (an earlier revision)")
        cells.append(("", pod["name"], "yes" if pod["ready"] else "no", str(pod["restarts"]), state))
    return table(rows) + ("\n\n" + table(cells) if cells[1:] else "")


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
