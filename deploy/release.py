"""A release as a whole: roll it out, look at it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from bento.errors import WordtellError
from deploy import apply as applying
from deploy import revisions, rollout, waiting
from deploy.apply import Say
from deploy.errors import NoRevision
from deploy.revisions import Revision
from deploy.types import Cluster, Object, Release
from deploy.view import Standing
from deploy.waiting import Show

_EXTRAS = ("HorizontalPodAutoscaler", "ScaledObject", "Ingress", "HTTPRoute", "InferenceService")


@dataclass(frozen=True)
class Target:
    """The cluster and the release in it."""

    cluster: Cluster
    release: Release


@dataclass(frozen=True)
class Manner:
    """How to roll out. `wait_s`: seconds to wait until ready, 0 for not at all; `note` is kept with the revision."""

    wait_s: float
    force: bool = False
    dry_run: bool = False
    note: str = ""


def roll_out(target: Target, objects: Sequence[Object], how: Manner, say: Say, show: Show) -> str:
    """Rehearse, record, apply, prune, wait, record; one line on how it went. Raises ApplyStopped, RolloutFailed."""
    cluster, release = target.cluster, target.release
    past = revisions.history(cluster, release)
    applying.rehearse(cluster, objects, say if how.dry_run else None, force=how.force)
    if how.dry_run:
        return f"{release.name}: the cluster would take all of it; nothing was changed"
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    revision = revisions.begin(cluster, release, objects, when, how.note)
    start = time.monotonic()
    try:
        applying.apply(cluster, objects, say, force=how.force)
        applying.prune(cluster, release, revisions.inventory(past), revision.references, say)
        if how.wait_s:
            waiting.wait(cluster, release, objects, how.wait_s, show)
    except (WordtellError, KeyboardInterrupt):
        revisions.end(cluster, release, revision, "failed")
        raise
    revisions.end(cluster, release, revision, "deployed")
    ready = (
        f"ready after {time.monotonic() - start:.0f} s"
        if how.wait_s
        else "applied; --no-wait does not wait until ready"
    )
    return f"{release.name} revision {revision.number}: {ready}"


def history(target: Target) -> list[Revision]:
    """All revisions, the oldest first. Raises NoRevision if there is none."""
    past = revisions.history(target.cluster, target.release)
    if not past:
        raise NoRevision(target.release)
    return past


def standing(target: Target, past: Sequence[Revision]) -> Standing:
    """What the newest revision has become."""
    now = past[-1].references
    observed = [waiting.observe(target.cluster, one) for one in now if one.kind in waiting.WORKLOADS]
    extras = [target.cluster.get(one) for one in now if one.kind in _EXTRAS]
    judged = [(seen, rollout.judge(seen)) for seen in observed if seen]
    return Standing(past, judged, [item for item in extras if item])
