"""Objects -> cluster, all or, if the cluster will not have it so, with an account of what was and was not applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from deploy import manifests
from deploy.errors import ApplyStopped, ClusterError
from deploy.types import Cluster, Object, Reference, Release

# Data is not ours to throw away, nor is a namespace, which may hold what others put there.
KEPT = ("PersistentVolumeClaim", "Namespace")
Say = Callable[[Reference, str], None]


def namespace(release: Release) -> Object:
    """The release's namespace, as --create-namespace makes it: pods in it must be restricted."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": release.namespace, "labels": labels}}


def rehearse(cluster: Cluster, objects: Sequence[Object], say: Say | None = None, *, force: bool = False) -> None:
    """Try everything with the server's dry run, so that a conflict, a missing permission or an invalid field is found
    before anything is changed. Raises ApplyStopped.
    """
    for reference, _ in _each(cluster, objects, dry_run=True, force=force):
        if say:
            say(reference, "would be applied")


def apply(cluster: Cluster, objects: Sequence[Object], say: Say, *, force: bool = False) -> None:
    """Apply in the given order. Raises ApplyStopped, which says what was applied and what was not."""
    for reference, _ in _each(cluster, objects, dry_run=False, force=force):
        say(reference, "applied")


def prune(cluster: Cluster, release: Release, earlier: Sequence[Reference], now: Sequence[Reference], say: Say) -> None:
    """Delete what an earlier revision had and this one has not, if it is still ours; the last applied first."""
    keys = {reference.key for reference in now}
    for reference in reversed([old for old in earlier if old.key not in keys]):
        if reference.kind in KEPT:
            say(reference, "kept: no longer in the chart; delete it yourself if it is not needed")
        elif delete(cluster, release, reference):
            say(reference, "pruned")


def remains(cluster: Cluster, reference: Reference) -> bool:
    """Whether there is an object of this name, whoever's it is."""
    return reference.kind in cluster.kinds(reference.api_version) and cluster.get(reference) is not None


def delete(cluster: Cluster, release: Release, reference: Reference) -> bool:
    """Begin to delete one object; False if it is gone, or belongs to somebody else now."""
    if reference.kind not in cluster.kinds(reference.api_version):
        return False
    live = cluster.get(reference)
    return live is not None and manifests.ours(live, release) and cluster.delete(reference)


def _each(
    cluster: Cluster, objects: Sequence[Object], *, dry_run: bool, force: bool
) -> Iterator[tuple[Reference, Object]]:
    references = [manifests.reference(item) for item in objects]
    for place, item in enumerate(objects):
        try:
            found = cluster.apply(item, dry_run=dry_run, force=force)
        except ClusterError as error:
            raise ApplyStopped([] if dry_run else references[:place], references[place:], error) from None
        yield references[place], found
