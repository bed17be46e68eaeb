"""The rooms below the cluster, against literal objects."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from deploy import manifests, needs, preflight, rollout, smoke, takeover
from deploy.errors import RenderError, SmokeFailed
from deploy.rollout import Observed
from deploy.types import HELM

REVISION = "deployment.kubernetes.io/revision"


def deployment(**status):
    return {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "w", "uid": "d", "namespace": "shop", "generation": 2, "annotations": {REVISION: "2"}},
        "spec": {"replicas": 2, "selector": {}},
        "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, **status},
    }  # fmt: skip


def replica_set(number):
    marks = {"annotations": {REVISION: str(number)}, "ownerReferences": [{"uid": "d"}]}
    return {"metadata": {"uid": f"rs{number}", **marks}}


def pod(number, *, reason="", message="", **status):
    waiting = {"containerStatuses": [{"name": "c", "state": {"waiting": {"reason": reason, "message": message}}}]}
    return {
        "metadata": {"name": f"p{number}", "ownerReferences": [{"uid": f"rs{number}"}]},
        "spec": {"containers": [{"name": "c"}]},
        "status": {"phase": "Pending", **(waiting if reason else {}), **status},
    }


def seen(workload, *rest, **more):
    return Observed(workload, workload, *rest, **more)


SETS = [replica_set(1), replica_set(2)]
STUCK = {"status": "False", "type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "has timed out"}
QUOTA = {"status": "True", "type": "ReplicaFailure", "reason": "FailedCreate", "message": "exceeded quota: small"}
NO_NODE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}


@pytest.mark.parametrize(
    ("found", "done"),
    [
        (seen(deployment()), True),
        (seen(deployment(observedGeneration=1)), False),
        (seen(deployment(updatedReplicas=1)), False),
        (seen(deployment(replicas=3)), False),
        (seen(deployment(availableReplicas=1)), False),
        (seen(deployment(), SETS, [pod(1, reason="CrashLoopBackOff")]), True),
        (seen(deployment(availableReplicas=0), SETS, [pod(2, reason="ContainerCreating")]), False),
        (seen(deployment(observedGeneration=1), SETS, [pod(2, reason="ErrImagePull")]), False),
    ],
    ids=["ready", "unseen", "old", "surplus", "starting", "an earlier crash", "creating", "stale"],
)
def test_a_rollout_goes_on_or_is_done(found, done) -> None:
    verdict = rollout.judge(found)
    assert not verdict.remedy
    assert verdict.done == done


@pytest.mark.parametrize(
    ("found", "summary", "looks"),
    [
        (
            seen(deployment(), SETS, [pod(2, reason="ErrImagePull", message="v9: not found")]),
            "ErrImagePull: v9: not",
            0,
        ),
        (seen(deployment(), SETS, [pod(2, reason="ErrImagePull", message="i/o timeout")]), "ErrImagePull: i/o", 90),
        (seen(deployment(), SETS, [pod(2, conditions=[NO_NODE])]), "Unschedulable: 0/3 nodes", 60),
        (seen(deployment(conditions=[STUCK])), "ProgressDeadlineExceeded: has timed out", 0),
        (seen(deployment(conditions=[QUOTA])), "FailedCreate: exceeded quota: small", 30),
    ],
)
def test_a_rollout_fails_with_the_clusters_own_message_once_it_is_certain(found, summary, looks) -> None:
    verdict = rollout.judge(found)
    assert summary in verdict.summary
    assert verdict.remedy
    assert verdict.looks == looks


def test_conditions_from_before_the_apply_do_not_count() -> None:
    for old in (STUCK, QUOTA):
        before = deployment(conditions=[old])
        assert rollout.judge(seen(deployment(conditions=[old]), before=before)).done
        newer = {**old, "lastUpdateTime": "2026-11-25T02:00:00Z"}
        assert rollout.judge(seen(deployment(conditions=[newer]), before=before)).remedy


def test_a_first_autoscaler_is_waited_for_up_to_its_fewest_pods() -> None:
    assert not rollout.judge(seen(deployment(), floor=3)).done
    assert rollout.judge(seen(deployment(), floor=2)).done


def test_a_pod_waits_for_the_node_that_an_autoscaler_brings() -> None:
    event = {"reason": "TriggeredScaleUp", "involvedObject": {"name": "p2"}}
    found = seen(deployment(availableReplicas=0), SETS, [pod(2, conditions=[NO_NODE])], [event])
    assert not rollout.judge(found).remedy


def test_a_mount_that_fails_is_the_pods_reason() -> None:
    event = {"reason": "FailedMount", "message": "claim not bound", "involvedObject": {"name": "p2"}}
    found = seen(deployment(), SETS, [pod(2, reason="ContainerCreating"), pod(1)], [event])
    assert [line.reason for line in rollout.lines(found)] == ["FailedMount: claim not bound", "Pending"]


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


@pytest.mark.parametrize("text", ["12345e7", "y", "N", "0o17", "1:30", "2026-11-25", ".5", "1.20", "no", ".inf"])
def test_text_is_quoted_where_a_reader_of_yaml_1_1_takes_it_otherwise(text) -> None:
    dumped = manifests.dump([thing("ConfigMap", data={"k": text, "i": 12, "f": 0.5, "t": True, "word": "plain"})])
    assert f"k: '{text}'" in dumped
    assert "i: 12\n  f: 0.5\n  t: true\n  word: plain\n" in dumped
    assert manifests.parse(dumped, "x")[0]["data"]["k"] == text


def test_fields_change_hands() -> None:
    mine = {"manager": "wordtell-deploy", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}, "f:a": {}}}}
    helms = {"manager": "helm", "operation": "Apply", "fieldsV1": {"f:spec": {"f:b": {}}}}
    scaled = {"manager": "k", "operation": "Update", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    live = thing("Deployment", "apps/v1")
    live["metadata"]["managedFields"] = [mine, helms, scaled]
    assert manifests.disown(live, None) == [{**mine, "fieldsV1": {"f:spec": {"f:a": {}}}}, helms]
    assert manifests.disown(live, {"k"}) == [mine, helms]
    one, other = takeover.given_to_helm([mine, {**helms, "manager": HELM}, scaled])
    assert one["fieldsV1"]["f:spec"] == {"f:replicas": {}, "f:a": {}, "f:b": {}}
    assert (one["manager"], one["operation"], other) == (HELM, "Apply", scaled)


def node(cpu="16", *, name="n", taint=None, ready="True", **labels):
    return {
        "metadata": {"name": name, "labels": labels}, "spec": {"taints": [taint] if taint else []},
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
        ([node("12", pool="cpu"), node("12", name="m", pool="cpu")], [], "pass"),
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
    assert needs.room(NEED, found, pods).status == status


@pytest.mark.parametrize(
    ("hard", "used", "status"), [("24", "0", "pass"), ("24", "12", "warn"), ("23", "0", "fail"), ("100", "0", "pass")]
)
def test_quota(hard, used, status) -> None:
    quota = thing("ResourceQuota", spec={}, status={"hard": {"limits.cpu": hard}, "used": {"limits.cpu": used}})
    assert needs.quota(quota, [NEED]).status == status


@pytest.mark.parametrize(
    ("server", "minimum", "status"),
    [
        ("v1.32.4", ">=1.27.0-0", "pass"),
        ("v1.26.15-gke.1", ">=1.27.0-0", "fail"),
        ("v1.9.0", ">=1.27.0-0", "fail"),
        ("v1.32.4", "", "pass"),
    ],
)
def test_version(server, minimum, status) -> None:
    assert preflight.version(server, minimum).status == status


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
    said = smoke.check(200, answer([[0.25, 0.75]]), "two words", 0.1)
    assert said == "answered in 100 ms (1 ms of it scoring): 2 words, mean probability 0.50, m (e, int8)"
