"""A release as a whole: apply, roll back, delete, status. Helm does its part of each."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bento.errors import WordtellError
from deploy import manifests, rollout, takeover, waiting
from deploy.engine import WAIT, Engine, Revision
from deploy.errors import ClusterError, Conflict, NoRevision, NotReady, ReleaseFailed, RolloutFailed, Running
from deploy.render import Order, Rendered
from deploy.types import MANAGER, Object, Reference
from deploy.view import Standing
from deploy.waiting import Before, Show

if TYPE_CHECKING:
    from deploy.cluster import Cluster

# Kept: they have the user's data.
_DATA = "PersistentVolumeClaim"
# The field manager that owns `replicas` while Helm's manifests have none.
_HOLDER = f"{MANAGER}-replicas"
_KEEP = "helm.sh/resource-policy"
_EXTRAS = ("HorizontalPodAutoscaler", "ScaledObject", "Ingress", "HTTPRoute", "InferenceService")
_TRIES = 3
Say = Callable[[str], None]


@dataclass(frozen=True)
class Target:
    """The cluster and the release in it; `seconds` for all of a command, `say` for its lines, `show` for its pods."""

    cluster: Cluster
    engine: Engine
    seconds: float
    say: Say = print
    show: Show = lambda seen: None


def apply(target: Target, order: Order, rendered: Rendered, *, force: bool, wait: bool) -> str:
    """Install or upgrade, and wait; roll back on failure. Returns one line for the user."""
    cluster, engine, start = target.cluster, target.engine, time.monotonic()
    until = start + target.seconds
    past, old = engine.history(), takeover.records(cluster, engine.release)
    if old and not any(revision.good for revision in past):
        for revision in past:  # of an interrupted take-over: Helm's record, not the objects
            cluster.delete(engine.record(revision.number))
        target.say(f"taken over from the deployer before Helm: {takeover.take_over(cluster, engine, old)} objects")
    past = _idle(engine)
    earlier = engine.objects(_last_good(past).number) if past else []
    before = _prepare(target, earlier, rendered.objects, until, force=force)
    good = [revision for revision in past if revision.good]
    label = f"until-{time.time() + target.seconds:.0f}" if wait else "unwatched"
    label += f"-{uuid.uuid4().hex[:8]}"  # identifies our own revision
    _idle(engine)
    with _or_back(target, label, good[-1].number if good else 0, earlier, until):
        number = engine.deploy(order.chart, rendered.values, first=not past, label=label)
        target.say(f"{engine.release.name} revision {number}: {len(rendered.objects)} objects applied")
        if wait:
            waiting.wait(cluster, rendered.objects, before, until, target.show)
    if not wait:
        return (
            f"{engine.release.name} revision {number}: what the chart no longer has stays until an `apply` that waits"
        )
    try:
        _mark(target, number, "ready")
        _sweep(target, rendered.objects)
    except WordtellError as error:
        what = f"{engine.release.name} revision {number} is ready; what the chart no longer has may be left"
        raise ReleaseFailed(f"{what} ({error.message}): `apply` again") from None
    return f"{engine.release.name} revision {number}: ready after {time.monotonic() - start:.0f} s"


def rollback(target: Target, wanted: int | None) -> str:
    """Let Helm go back to a revision (None: the last good one before this), and wait."""
    engine, start = target.engine, time.monotonic()
    until = start + target.seconds
    past = engine.past()
    known = [revision.number for revision in past]
    chosen = wanted or next((revision.number for revision in reversed(past[:-1]) if revision.good), None)
    if chosen not in known:
        raise NoRevision(engine.release, wanted, known)
    objects = engine.objects(chosen)
    before = _prepare(target, engine.objects(), objects, until, force=False)
    number = engine.rollback(chosen)
    _mark(target, number, f"until-{time.time() + target.seconds:.0f}-rollback")
    target.say(f"{engine.release.name} revision {number}: rolled back to {chosen}")
    try:
        waiting.wait(target.cluster, objects, before, until, target.show)
    except (WordtellError, KeyboardInterrupt):
        _mark(target, number, "failed")
        raise
    _mark(target, number, "ready")
    _sweep(target, objects)
    return f"{engine.release.name} revision {number}: ready after {time.monotonic() - start:.0f} s"


def delete(target: Target) -> None:
    """Let Helm uninstall, and wait until everything is gone, including what an earlier failure left."""
    until = time.monotonic() + target.seconds
    everything = inventory(target)
    target.engine.uninstall()
    gone = [one for one in everything if one.kind != _DATA and _ours(target, one)]
    for one in reversed(gone):
        target.cluster.delete(one)
    waiting.vanished(target.cluster, gone, until)


def inventory(target: Target) -> list[Reference]:
    """Every object of every revision that Helm keeps, once. Raises NoRevision."""
    found = {}
    for revision in target.engine.past():
        for one in map(manifests.reference, target.engine.objects(revision.number)):
            found[one.key] = one
    return list(found.values())


def standing(target: Target) -> Standing:
    """The state of the newest revision. Raises NoRevision."""
    past = target.engine.past()
    objects = target.engine.objects()
    references = [manifests.reference(item) for item in objects]
    live = dict(zip(references, target.cluster.each(target.cluster.get, references), strict=True))
    observed = [waiting.observe(target.cluster, one, objects) for one in references if one.kind in waiting.WORKLOADS]
    judged = [(seen, rollout.judge(seen)) for seen in observed if seen]
    missing = [one for one, item in live.items() if item is None]
    extras = [item for one, item in live.items() if item and one.kind in _EXTRAS]
    return Standing(past, target.engine.description(), judged, extras, missing)


def rehearse(target: Target, objects: Sequence[Object], *, force: bool) -> list[Object]:
    """The server's dry run of everything, so that a conflict or an invalid field is found before anything is changed.
    The objects that only force applies. Raises NotReady.
    """

    def attempt(item: Object) -> tuple[str, bool]:
        try:
            target.cluster.apply(manifests.owned(item, target.engine.release), dry_run=True)
        except Conflict as error:
            return f"{manifests.reference(item)}: {error.message}", True
        except ClusterError as error:
            return f"{manifests.reference(item)}: {error.message}", False
        return "", False

    tried = target.cluster.each(attempt, objects)
    if faults := [message for message, conflict in tried if message and not (conflict and force)]:
        raise NotReady(faults)
    return [item for item, (_, conflict) in zip(objects, tried, strict=True) if conflict]


def _prepare(target: Target, earlier: Sequence[Object], now: Sequence[Object], until: float, *, force: bool) -> Before:
    """What Helm does not do: wait for objects that are being deleted, keep the number of pods, keep removed objects
    until the new ones are ready. Returns the workloads.
    """
    cluster, release = target.cluster, target.engine.release
    references = [manifests.reference(item) for item in now]
    live = dict(zip(references, cluster.each(cluster.get, references), strict=True))
    going = [one for one, item in live.items() if item and item["metadata"].get("deletionTimestamp")]
    if going:
        target.say(f"waiting until {', '.join(map(str, going))} is gone: it is being deleted")
        waiting.vanished(cluster, going, until)
        live |= dict.fromkeys(going)
    had = {manifests.reference(item): item for item in earlier}
    _hand_over_replicas(cluster, live, had, now)
    for item in rehearse(target, now, force=force):
        cluster.apply(manifests.owned(item, release), force=True)
    kept = {one.key for one in references}
    for one in had:
        if one.key not in kept and _ours(target, one):
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
            entries = manifests.disown(there, {_HOLDER} if helms else None, "f:replicas")
            if entries != there["metadata"].get("managedFields"):
                version = there["metadata"]["resourceVersion"]
                cluster.patch(one, {"metadata": {"managedFields": entries, "resourceVersion": version}}, _HOLDER)
        elif helms:
            claim = {"apiVersion": one.api_version, "kind": one.kind, "spec": {"replicas": there["spec"]["replicas"]}}
            cluster.apply({**claim, "metadata": {"name": one.name, "namespace": one.namespace}}, manager=_HOLDER)


def _sweep(target: Target, now: Sequence[Object]) -> None:
    """Delete objects that earlier revisions had and this one does not."""
    kept = {manifests.reference(item).key for item in now}
    for one in reversed(inventory(target)):
        if one.key in kept or not _ours(target, one):
            continue
        if one.kind == _DATA:
            target.say(f"{one} kept: it is no longer in the chart, and data is yours to delete")
        elif target.cluster.delete(one):
            target.say(f"{one} deleted: no longer in the chart")


@contextmanager
def _or_back(target: Target, label: str, good: int, earlier: Sequence[Object], until: float) -> Iterator[None]:
    """If the block fails and made a revision with this label, roll back to the revision `good` (0: uninstall), and say
    so in the error.
    """
    try:
        yield
    except (WordtellError, KeyboardInterrupt) as error:
        message = error.message if isinstance(error, WordtellError) else "interrupted"
        tries = 0
        while True:
            try:
                done = _back(target, label, good, earlier)
                break
            except WordtellError as trouble:
                # The API server may be restarting, so this is tried again.
                tries += not (isinstance(trouble, ClusterError) and trouble.http == 0)
                if time.monotonic() > until or tries == _TRIES:
                    done = f"not rolled back: {trouble.message}; `rollback` goes back"
                    break
                time.sleep(waiting.POLL_S)
        kind = RolloutFailed if isinstance(error, RolloutFailed) else ReleaseFailed
        head, log, tail = message.partition("\n")
        raise kind(f"{head} [{done}]{log}{tail}") from None


def _back(target: Target, label: str, good: int, earlier: Sequence[Object]) -> str:
    past = target.engine.history()
    ours = [revision.number for revision in past if revision.wait == label]
    if not ours:
        return "nothing was changed" + ("; another command is at work" if past and past[-1].number != good else "")
    if not good:
        target.engine.uninstall()
        return "uninstalled: there was no revision before it"
    references = [manifests.reference(item) for item in earlier]
    _hand_over_replicas(target.cluster, {one: target.cluster.get(one) for one in references}, {}, earlier)
    number = target.engine.rollback(good)
    _mark(target, ours[0], "failed")
    _mark(target, number, "ready")
    for one in references:
        if _ours(target, one):
            target.cluster.patch(one, {"metadata": {"annotations": {_KEEP: None}}}, MANAGER)
    return f"rolled back to revision {good}, as revision {number}"


def _idle(engine: Engine) -> list[Revision]:
    """The history, if no other command is working on the release. Raises Running."""
    past = engine.history()
    last = past[-1] if past else None
    until = last.wait.split("-")[1] if last and last.wait.startswith("until-") and last.status == "deployed" else "0"
    if last and (last.status.startswith("pending") or float(until) > time.time()):
        raise Running(engine.release, last.number, last.when)
    return past


def _last_good(past: Sequence[Revision]) -> Revision:
    return next((revision for revision in reversed(past) if revision.good), past[-1])


def _mark(target: Target, number: int, state: str) -> None:
    target.cluster.patch(target.engine.record(number), {"metadata": {"labels": {WAIT: state}}}, MANAGER)


def _ours(target: Target, one: Reference) -> bool:
    live = target.cluster.get(one)
    return live is not None and manifests.owner(live) == target.engine.release
