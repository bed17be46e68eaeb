"""A release as a whole: apply, roll back, delete. Helm does its part of each."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from bento.errors import WordtellError
from deploy import manifests, takeover, waiting
from deploy.engine import WAIT, Engine, Revision
from deploy.errors import ClusterError, Conflict, NoRevision, NotReady, ReleaseFailed
from deploy.render import Rendered
from deploy.types import MANAGER, Object, Reference
from deploy.waiting import Before

if TYPE_CHECKING:
    from deploy.cluster import Cluster

# Kept: they have the user's data.
_DATA = "PersistentVolumeClaim"
# The field manager that owns `replicas` while Helm's manifests have none.
_HOLDER = f"{MANAGER}-replicas"
_KEEP = "helm.sh/resource-policy"
_TRIES = 3
Done = TypeVar("Done")


@dataclass(frozen=True)
class Target:
    """The cluster and the release in it; `seconds` for all of a command, from `start` (monotonic)."""

    cluster: Cluster
    engine: Engine
    seconds: float
    start: float = field(default_factory=time.monotonic)

    @property
    def until(self) -> float:
        """When the command has to be done (monotonic)."""
        return self.start + self.seconds


def apply(target: Target, rendered: Rendered, *, force: bool, wait: bool) -> str:
    """Install or upgrade, and wait; roll back on failure. Returns one line for the user."""
    engine = target.engine
    takeover.take_over(target.cluster, engine)
    past = _idle(engine)
    good = [revision for revision in past if revision.good]
    earlier = engine.objects((good or past)[-1].number) if past else []
    before = _prepare(target, earlier, rendered.objects, force=force)
    label = f"{_waiting(target) if wait else 'unwatched'}-{uuid.uuid4().hex[:8]}"  # identifies our own revision
    _idle(engine)
    try:
        number = engine.deploy(rendered.chart, rendered.values, first=not past, label=label)
        print(f"{engine.release.name} revision {number}: {len(rendered.objects)} objects applied")
        if wait:
            waiting.wait(target.cluster, rendered.objects, before, target.until)
    except (WordtellError, KeyboardInterrupt) as error:
        message = error.message if isinstance(error, WordtellError) else "interrupted"
        try:
            done = _insist(target, _back, target, label, good[-1].number if good else 0, earlier)
        except WordtellError as trouble:
            done = f"not rolled back: {trouble.message}; `rollback` goes back"
        head, newline, log = message.partition("\n")
        raise ReleaseFailed(f"{head} [{done}]{newline}{log}") from None
    if wait:
        return _finish(target, number, rendered.objects)
    return f"{engine.release.name} revision {number}: what the chart no longer has stays until an `apply` that waits"


def rollback(target: Target, wanted: int | None) -> str:
    """Let Helm go back to a revision (None: the last good one before this), and wait."""
    engine = target.engine
    past = engine.past()
    known = [revision.number for revision in past]
    chosen = wanted or next((revision.number for revision in reversed(past[:-1]) if revision.good), None)
    if chosen not in known:
        raise NoRevision(engine.release, wanted, known)
    objects = engine.objects(chosen)
    before = _prepare(target, engine.objects(), objects, force=False)
    number = engine.rollback(chosen)
    _mark(target, number, f"{_waiting(target)}-rollback")
    print(f"{engine.release.name} revision {number}: rolled back to {chosen}")
    try:
        waiting.wait(target.cluster, objects, before, target.until)
    except (WordtellError, KeyboardInterrupt):
        with suppress(WordtellError):  # the failure's reason is told, not that of its record
            _mark(target, number, "failed")
        raise
    return _finish(target, number, objects)


def delete(target: Target) -> None:
    """Let Helm uninstall, and wait until everything is gone, including what an earlier failure left."""
    until = time.monotonic() + target.seconds  # not from the start: somebody may have been asked first
    everything = inventory(target)
    target.engine.uninstall()
    gone = [one for one in everything if one.kind != _DATA and _ours(target, one)]
    for one in reversed(gone):
        target.cluster.delete(one)
    waiting.vanished(target.cluster, gone, until)


def inventory(target: Target) -> list[Reference]:
    """Every object of every revision that Helm keeps, once, the newest revision's first. Raises NoRevision."""
    numbers = [revision.number for revision in reversed(target.engine.past())]
    found = [manifests.reference(item) for number in numbers for item in target.engine.objects(number)]
    return list(dict.fromkeys(found))


def rehearse(target: Target, objects: Sequence[Object], *, force: bool) -> list[Object]:
    """The server's dry run of everything, so that a conflict or an invalid field is found before anything is changed.
    The objects that only force applies. Raises NotReady.
    """

    def attempt(item: Object) -> ClusterError | None:
        try:
            target.cluster.apply(manifests.owned(item, target.engine.release), dry_run=True)
        except ClusterError as error:
            return error
        return None

    tried = list(zip(objects, target.cluster.each(attempt, objects), strict=True))
    conflicts = [item for item, error in tried if isinstance(error, Conflict)]
    faults = [(item, error) for item, error in tried if error and not (force and item in conflicts)]
    if faults:
        raise NotReady([f"{manifests.reference(item)}: {error.message}" for item, error in faults])
    return conflicts


def _prepare(target: Target, earlier: Sequence[Object], now: Sequence[Object], *, force: bool) -> Before:
    """What Helm does not do: wait for objects that are being deleted, keep the number of pods, keep removed objects
    until the new ones are ready. Returns the objects as they were.
    """
    cluster, release = target.cluster, target.engine.release
    live = cluster.live(now)
    going = [one for one, item in live.items() if item and item["metadata"].get("deletionTimestamp")]
    if going:
        print(f"waiting until {', '.join(map(str, going))} is gone: it is being deleted")
        waiting.vanished(cluster, going, target.until)
        live |= dict.fromkeys(going)
    had = {manifests.reference(item): item for item in earlier}
    _hand_over_replicas(cluster, live, had, now)
    for item in rehearse(target, now, force=force):
        cluster.apply(manifests.owned(item, release), force=True)
    for one in had:
        if one not in live and _ours(target, one):
            cluster.patch(one, {"metadata": {"annotations": {_KEEP: "keep"}}}, MANAGER)
    return live


def _hand_over_replicas(cluster: Cluster, live: Before, had: Before, now: Sequence[Object]) -> None:
    """If the last owner of `replicas` removes it, the API server sets 1. So before an autoscaler takes over we own the
    current number; afterwards no manager conflicts with the manifest. `had`: the manifests that Helm applied last.
    """
    for item in now:
        one = manifests.reference(item)
        there, before = live.get(one), had.get(one)
        if item["kind"] != "Deployment" or there is None:
            continue
        helms = before is not None and "replicas" in before["spec"]
        if "replicas" in item["spec"]:
            entries = manifests.disown(there, {_HOLDER} if helms else None)
            if entries != there["metadata"].get("managedFields"):
                version = there["metadata"]["resourceVersion"]
                cluster.patch(one, {"metadata": {"managedFields": entries, "resourceVersion": version}}, _HOLDER)
        elif helms:
            claim = {"apiVersion": one.api_version, "kind": one.kind, "spec": {"replicas": there["spec"]["replicas"]}}
            cluster.apply({**claim, "metadata": {"name": one.name, "namespace": one.namespace}}, manager=_HOLDER)


def _finish(target: Target, number: int, now: Sequence[Object]) -> str:
    """Record that the revision is ready, and delete objects that earlier revisions had and this one does not."""
    ready = f"{target.engine.release.name} revision {number}"
    kept = {manifests.reference(item) for item in now}
    try:
        _mark(target, number, "ready")
        for one in reversed(inventory(target)):
            if one in kept or not _ours(target, one):
                continue
            if one.kind == _DATA:
                print(f"{one} kept: it is no longer in the chart, and data is yours to delete")
            elif target.cluster.delete(one):
                print(f"{one} deleted: no longer in the chart")
    except WordtellError as error:
        what = f"{ready} is ready; what the chart no longer has may be left"
        raise ReleaseFailed(f"{what} ({error.message}): the next `apply` deletes it") from None
    return f"{ready}: ready after {time.monotonic() - target.start:.0f} s"


def _insist(target: Target, call: Callable[..., Done], *arguments: Any) -> Done:
    """The result of a call, which is tried again where the API server may be restarting. Raises the last error."""
    tries = 0
    while True:
        try:
            return call(*arguments)
        except WordtellError as error:
            tries += not (isinstance(error, ClusterError) and error.http == 0)
            if time.monotonic() > target.until or tries == _TRIES:
                raise
            time.sleep(waiting.POLL_S)


def _back(target: Target, label: str, good: int, earlier: Sequence[Object]) -> str:
    """If there is a revision with this label, roll back to the revision `good` (0: uninstall)."""
    past = target.engine.history()
    ours = [revision.number for revision in past if revision.wait == label]
    if not ours:
        return "nothing was changed" + ("; another command is at work" if past and past[-1].number != good else "")
    if not good:
        target.engine.uninstall()
        return "uninstalled: there was no revision before it"
    live = target.cluster.live(earlier)
    _hand_over_replicas(target.cluster, live, {}, earlier)
    number = target.engine.rollback(good)
    _mark(target, ours[0], "failed")
    _mark(target, number, "ready")
    for one in live:
        if _ours(target, one):
            target.cluster.patch(one, {"metadata": {"annotations": {_KEEP: None}}}, MANAGER)
    return f"rolled back to revision {good}, as revision {number}"


def _idle(engine: Engine) -> list[Revision]:
    """The history, if no other command is working on the release. Raises ReleaseFailed."""
    past = engine.history()
    last = past[-1] if past else None
    until = last.wait.split("-")[1] if last and last.wait.startswith("until-") and last.status == "deployed" else "0"
    if last and (last.status.startswith(("pending", "uninstalling")) or float(until) > time.time()):
        raise ReleaseFailed(
            f"another command is at work on {engine.release.name} (revision {last.number}, since {last.when}): wait for"
            " it; if it was killed, `rollback`, or `delete` if there was none before"
        )
    return past


def _waiting(target: Target) -> str:
    """The label of a revision while a command waits for it."""
    return f"until-{time.time() + target.seconds:.0f}"


def _mark(target: Target, number: int, state: str) -> None:
    change = {"metadata": {"labels": {WAIT: state}}}
    _insist(target, target.cluster.patch, target.engine.record(number), change, MANAGER)


def _ours(target: Target, one: Reference) -> bool:
    live = target.cluster.get(one)
    return live is not None and manifests.owner(live) == target.engine.release
