"""What is printed: tables, and the live view of a rollout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deploy import manifests, rollout
from deploy.revisions import Revision
from deploy.rollout import Failure, Observed, Progress
from deploy.types import Finding, Object, Reference

_COLOURS = {"pass": "green", "warn": "yellow", "fail": "red"}
Seen = Mapping[Reference, tuple[Observed, Progress | Failure]]


def findings(found: Sequence[Finding]) -> Table:
    """The preflight's table."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("", "check", "finding", "remedy"):
        table.add_column(column, overflow="fold")
    for finding in found:
        mark = Text(finding.status, style=_COLOURS[finding.status])
        table.add_row(mark, finding.check, finding.message, finding.remedy)
    return table


def pods(seen: Observed) -> Table:
    """Each pod in a line."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("pod", "ready", "restarts", "state"):
        table.add_column(column, overflow="fold")
    for line in rollout.lines(seen):
        ready = Text("yes", style="green") if line.ready else Text("no", style="yellow")
        state = line.reason if line.current else f"{line.reason} (an earlier revision)"
        table.add_row(line.name, ready, str(line.restarts), state)
    return table


class RolloutView:
    """Redrawn in place on a terminal; elsewhere a line whenever something has changed."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None
        self._last: dict[Reference, str] = {}

    def __enter__(self) -> RolloutView:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, seen: Seen) -> None:
        """Draw what was observed."""
        said = {
            name: verdict.summary if isinstance(verdict, Progress) else verdict.reason
            for name, (_, verdict) in seen.items()
        }
        if self._live:
            parts = [Group(Text(f"{name}: {said[name]}"), pods(observed)) for name, (observed, _) in seen.items()]
            self._live.update(Group(*parts), refresh=True)
            return
        for name, summary in said.items():
            if self._last.get(name) != summary:
                self._console.print(f"{name}: {summary}", markup=False)
        self._last = said


@dataclass(frozen=True)
class Standing:
    """What `status` tells. `extras` are objects whose conditions or addresses matter: scalers, routes, ingresses."""

    history: Sequence[Revision]
    workloads: Sequence[tuple[Observed, Progress | Failure]]
    extras: Sequence[Object]

    def table(self) -> Group:
        """One readable page."""
        now = self.history[-1]
        head = Table(box=None, show_header=False, pad_edge=False)
        head.add_column(style="dim")
        head.add_column(overflow="fold")
        head.add_row("revision", f"{now.number}, {now.state}, {now.when}" + (f", {now.note}" if now.note else ""))
        earlier = ", ".join(f"{revision.number} ({revision.state})" for revision in self.history[:-1])
        if earlier:
            head.add_row("earlier", earlier)
        for seen, verdict in self.workloads:
            images = ", ".join(
                str(container["image"]) for container in manifests.containers(seen.workload) if "image" in container
            )
            if images:
                head.add_row("image", images)
            state = verdict.summary if isinstance(verdict, Progress) else str(verdict)
            head.add_row(str(manifests.reference(seen.workload)), state)
        for item in self.extras:
            head.add_row(str(manifests.reference(item)), describe(item))
        return Group(head, *(Group(Text(), pods(seen)) for seen, _ in self.workloads if seen.pods))


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
        healthy = condition["status"] == (
            "False" if condition["type"] in {"ScalingLimited", "Fallback", "Paused"} else "True"
        )
        reason = "" if healthy else f" ({condition.get('reason', 'no reason')}: {condition.get('message', '')})"
        parts.append(f"{condition['type']} {condition['status']}{reason}")
    return ", ".join(parts) or "there"
