"""The rooms below the cluster, against literal objects."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from deploy import checks, manifests, needs, nodes, revisions, rollout, smoke
from deploy.errors import NoRevision, RenderError, SmokeFailed
from deploy.revisions import Revision
from deploy.rollout import Failure, Observed, Progress
from deploy.types import Reference, Release

RELEASE = Release("w", "shop")
REVISION = "deployment.kubernetes.io/revision"


def deployment(**status):
    return {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "w", "namespace": "shop", "generation": 2, "annotations": {REVISION: "2"}},
        "spec": {"replicas": 2, "selector": {}},
        "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, **status},
    }  # fmt: skip


def replica_set(number):
    return {"metadata": {"uid": f"rs{number}", "annotations": {REVISION: str(number)}}}


def pod(number, *, reason="", message="", **status):
    waiting = {"containerStatuses": [{"name": "c", "state": {"waiting": {"reason": reason, "message": message}}}]}
    return {
        "metadata": {"name": f"p{number}", "ownerReferences": [{"uid": f"rs{number}"}]},
        "status": {"phase": "Pending", **(waiting if reason else {}), **status},
    }


SETS = [replica_set(1), replica_set(2)]
STUCK = {"status": "False", "type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "has timed out"}
QUOTA = {"status": "True", "type": "ReplicaFailure", "reason": "FailedCreate", "message": "exceeded quota: small"}
NO_NODE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}


@pytest.mark.parametrize(
    ("seen", "done"),
    [
        (Observed(deployment()), True),
        (Observed(deployment(observedGeneration=1)), False),
        (Observed(deployment(updatedReplicas=1)), False),
        (Observed(deployment(replicas=3)), False),
        (Observed(deployment(availableReplicas=1)), False),
        (Observed(deployment(), SETS, [pod(1, reason="CrashLoopBackOff")]), True),
        (Observed(deployment(availableReplicas=0), SETS, [pod(2, reason="ContainerCreating")]), False),
        (Observed(deployment(observedGeneration=1), SETS, [pod(2, reason="ErrImagePull")]), False),
    ],
    ids=["ready", "unseen", "old", "surplus", "starting", "an earlier crash", "creating", "stale"],
)
def test_a_rollout_goes_on_or_is_done(seen, done) -> None:
    verdict = rollout.judge(seen)
    assert isinstance(verdict, Progress)
    assert verdict.done == done


@pytest.mark.parametrize(
    ("seen", "reason", "message"),
    [
        (
            Observed(deployment(), SETS, [pod(2, reason="ErrImagePull", message="no such tag")]),
            "ErrImagePull",
            "no such tag",
        ),
        (Observed(deployment(), SETS, [pod(2, conditions=[NO_NODE])]), "Unschedulable", "0/3 nodes"),
        (Observed(deployment(conditions=[STUCK])), "ProgressDeadlineExceeded", "has timed out"),
        (Observed(deployment(conditions=[QUOTA])), "FailedCreate", "exceeded quota: small"),
    ],
)
def test_a_rollout_fails_with_the_clusters_own_message(seen, reason, message) -> None:
    verdict = rollout.judge(seen)
    assert isinstance(verdict, Failure)
    assert (verdict.reason, verdict.message) == (reason, message)


def test_a_pod_waits_for_the_node_that_an_autoscaler_brings() -> None:
    event = {"reason": "TriggeredScaleUp", "involvedObject": {"name": "p2"}}
    seen = Observed(deployment(availableReplicas=0), SETS, [pod(2, conditions=[NO_NODE])], [event])
    assert isinstance(rollout.judge(seen), Progress)


def test_a_mount_that_fails_is_the_pods_reason() -> None:
    event = {"reason": "FailedMount", "message": "claim not bound", "involvedObject": {"name": "p2"}}
    seen = Observed(deployment(), SETS, [pod(2, reason="ContainerCreating"), pod(1)], [event])
    assert [line.reason for line in rollout.lines(seen)] == ["FailedMount: claim not bound", "Pending"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("12", "12"), ("500m", "0.5"), ("4Gi", str(4 << 30)), ("1k", "1000"), ("1e3", "1000"), (1.5, "1.5")],
)
def test_quantities(text, value) -> None:
    assert manifests.quantity(text) == Decimal(value)


def test_what_is_no_quantity() -> None:
    with pytest.raises(RenderError, match="'12 cores' is not a quantity"):
        manifests.quantity("12 cores")


def thing(kind, version="v1", name="x", **rest):
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **rest}


def test_dependency_order() -> None:
    kinds = ["ScaledObject", "Deployment", "Service", "ConfigMap", "ServiceAccount", "Namespace"]
    ordered = [item["kind"] for item in manifests.ordered(map(thing, kinds))]
    assert ordered == ["Namespace", "ServiceAccount", "ConfigMap", "Service", "Deployment", "ScaledObject"]


def test_an_inventory_has_each_object_once_whatever_its_version() -> None:
    old = Revision(1, "deployed", "", "", (thing("ScaledObject", "keda.sh/v1alpha1"), thing("ConfigMap")))
    new = Revision(2, "deployed", "", "", (thing("ScaledObject", "keda.sh/v1"),))
    assert revisions.inventory([old, new]) == [
        Reference("v1", "ConfigMap", "", "x"),
        Reference("keda.sh/v1", "ScaledObject", "", "x"),
    ]


def test_a_revision_survives_its_secret() -> None:
    revision = Revision(
        7, "deployed", "2026-01-01T00:00:00+00:00", "rollback to 5", (thing("ConfigMap", data={"k": "v"}),)
    )
    kept = revisions.secret(RELEASE, revision)
    assert revisions.read(kept) == revision
    assert json.loads(json.dumps(kept)) == kept


def test_rollback_chooses_the_last_that_was_deployed() -> None:
    states = ["deployed", "deployed", "failed", "failed"]
    past = [Revision(number, state, "", "", ()) for number, state in enumerate(states, 1)]
    assert revisions.choose(past, RELEASE, None).number == 2
    assert revisions.choose(past, RELEASE, 3).number == 3
    with pytest.raises(NoRevision, match="no earlier revision that was deployed"):
        revisions.choose(past[2:], RELEASE, None)


def node(cpu="16", *, taint=None, ready="True", **labels):
    return {
        "metadata": {"name": "n", "labels": labels}, "spec": {"taints": [taint] if taint else []},
        "status": {"allocatable": {"cpu": cpu, "memory": "64Gi"}, "conditions": [{"type": "Ready", "status": ready}]},
    }  # fmt: skip


RESOURCES = {"limits": {"cpu": 12, "memory": "4Gi"}}
TEMPLATE = {"spec": {"containers": [{"name": "c", "resources": RESOURCES}], "nodeSelector": {"pool": "cpu"}}}
(NEED,) = needs.needs([thing("Deployment", "apps/v1", spec={"replicas": 2, "template": TEMPLATE})])
TAINT = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
BUSY = [{"spec": {"nodeName": "n", "containers": [{"resources": {"requests": {"cpu": "5"}}}]}}]


@pytest.mark.parametrize(
    ("found", "pods", "status"),
    [
        ([node("24", pool="cpu")], [], "pass"),
        ([node("12", pool="cpu"), node("12", pool="cpu")], [], "pass"),
        ([node(pool="cpu")], [], "warn"),
        ([node(pool="cpu")], None, "warn"),
        ([node(pool="cpu")], BUSY, "warn"),
        ([node("11900m", pool="cpu")], [], "fail"),
        ([node(pool="gpu")], [], "fail"),
        ([node(pool="cpu", taint=TAINT)], [], "fail"),
        ([node(pool="cpu", ready="False")], [], "fail"),
        ([], [], "fail"),
    ],
    ids=[
        "room",
        "room on two",
        "room for one",
        "unseen",
        "busy",
        "small",
        "not selected",
        "tainted",
        "not ready",
        "none",
    ],
)
def test_nodes(found, pods, status) -> None:
    assert nodes.room(NEED, found, pods).status == status


@pytest.mark.parametrize(
    ("hard", "used", "status"), [("24", "0", "pass"), ("24", "12", "warn"), ("23", "0", "fail"), ("100", "0", "pass")]
)
def test_quota(hard, used, status) -> None:
    quota = thing("ResourceQuota", spec={}, status={"hard": {"limits.cpu": hard}, "used": {"limits.cpu": used}})
    assert checks.quota(quota, [NEED]).status == status


@pytest.mark.parametrize(
    ("server", "minimum", "status"),
    [
        ("v1.32.4", ">=1.27.0-0", "pass"),
        ("v1.26.15-gke.1", ">=1.27.0-0", "fail"),
        ("v1.9.0", ">=1.27.0-0", "fail"),
        ("v1.32.4", None, "pass"),
    ],
)
def test_version(server, minimum, status) -> None:
    assert checks.version(server, minimum).status == status


def test_an_old_definition_fails_with_a_remedy() -> None:
    finding = checks.kind("keda.sh/v1", "ScaledObject", {}, ["v1alpha1"])
    assert finding.status == "fail"
    assert "not served in keda.sh/v1, only in v1alpha1" in finding.message
    assert finding.remedy


def answer(probabilities, version="m"):
    metadata = {"model_version": version, "processing_time_ms": 1, "engine": "e", "precision": "int8"}
    return json.dumps({"probabilities": probabilities, "metadata": metadata}).encode()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, answer([[0.1]]), "1 probabilities for a text of 2 words"),
        (200, answer([[0.1, 1.2]]), "outside"),
        (200, answer([[0.1, 0.2]], ""), "no model version"),
        (200, b"<html>", "is this wordtell's address"),
        (200, b"{}", "not the contract's shape"),
        (401, b'{"error": {"message": "no valid API key"}}', "HTTP 401: no valid API key; give --api-key"),
        (503, b'{"error": {"message": "still loading"}}', "HTTP 503: still loading"),
    ],
)
def test_an_answer_that_breaks_the_contract(status, body, said) -> None:
    with pytest.raises(SmokeFailed, match=said):
        smoke.check(status, body, "two words", 0.1)


def test_a_good_answer() -> None:
    assert smoke.check(200, answer([[0.25, 0.75]]), "two words", 0.1).mean == 0.5
