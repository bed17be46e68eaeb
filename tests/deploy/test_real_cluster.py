"""What a real cluster did to the deployer before it stood on Helm, each fault against a server that does it too."""

from __future__ import annotations

import copy
import json
import re
import threading
import time
from pathlib import Path

import pytest
import yaml

from deploy import preflight, render
from deploy.types import Release
from tests.deploy import controllers
from tests.deploy.api_server import KSERVE
from tests.deploy.wire import Refused


def replicas(server, name: str = "wordtell") -> list[int]:
    """Every number of pods that a Deployment was ever told to have."""
    return [item["spec"]["replicas"] for _, plural, _, _, item in server.events
            if plural == "deployments" and item["metadata"]["name"] == name]  # fmt: skip


def test_what_serves_goes_when_the_new_one_is_ready_and_not_before(wordtell_deploy, server) -> None:
    """Row 1."""
    assert wordtell_deploy("apply").code == 0
    controllers.fail_for(server, "nopull")
    done = wordtell_deploy("apply", "--set", "fullnameOverride=fresh,image.tag=nopull")
    assert done.code == 1
    assert "ErrImagePull: example.org/wordtell:nopull: not found" in done.err
    assert "rolled back to revision 1, as revision 3" in done.err
    assert not [
        event for event in server.events if event[3] == "DELETED" and event[4]["metadata"]["name"] == "wordtell"
    ]
    assert server.find("deployments", "wordtell")["metadata"]["annotations"].get("helm.sh/resource-policy") is None
    assert server.find("deployments", "fresh") is None
    done = wordtell_deploy("apply", "--set", "fullnameOverride=fresh")
    assert done.code == 0, done.err
    assert "Deployment/wordtell deleted: no longer in the chart" in done.out
    assert server.find("services", "wordtell") is None
    assert server.find("services", "fresh") is not None


def test_from_plain_to_kserve_nothing_is_lost(wordtell_deploy, server) -> None:
    """Row 1, the other way to change names."""
    server.served |= copy.deepcopy(KSERVE)
    assert wordtell_deploy("apply").code == 0
    server.controllers.append(controllers.kserve)
    seen = []
    server.controllers.append(lambda state, item: seen.append(state.find("deployments", "wordtell")))
    done = wordtell_deploy("apply", "kserve")
    assert done.code == 0, done.err
    assert seen
    assert all(seen), "the old one was there as long as the new one was not"
    assert server.find("deployments", "wordtell") is None
    assert server.find("deployments", "wordtell-predictor") is not None


@pytest.mark.parametrize("command", ["rollback", "apply"])
def test_an_object_that_is_being_deleted_is_waited_for_and_made_again(wordtell_deploy, server, command) -> None:
    """Row 2: a PATCH of it answers 200, and then it is gone."""
    assert wordtell_deploy("apply").code == 0
    assert wordtell_deploy("apply", "--set", "greeting=other").code == 0
    server.lingers["deployments"] = 0.5
    server.remove(server.key(server.find("deployments", "wordtell")))
    done = wordtell_deploy(command)
    assert done.code == 0, done.err
    assert "waiting until Deployment/wordtell is gone" in done.out
    time.sleep(0.6)
    assert "deletionTimestamp" not in server.find("deployments", "wordtell")["metadata"]


@pytest.mark.parametrize("fewest", [2, 8])
def test_the_number_of_pods_is_handed_to_an_autoscaler_and_back(wordtell_deploy, server, fewest) -> None:
    """Row 3: whoever drops the field last lets it fall to 1. And the end of row 15: not ready below minReplicas."""
    server.controllers.append(controllers.autoscaler)
    assert wordtell_deploy("apply", "--set", "replicaCount=6").code == 0
    done = wordtell_deploy("apply", "--set", f"hpa={fewest}")
    assert done.code == 0, done.err
    assert set(replicas(server)) == {6, max(6, fewest)}
    assert server.find("deployments", "wordtell")["status"]["availableReplicas"] == max(6, fewest)
    done = wordtell_deploy("apply", "--set", "replicaCount=3")
    assert done.code == 0, done.err
    assert replicas(server)[-1] == 3
    assert 1 not in replicas(server)
    assert wordtell_deploy("apply", "--set", "replicaCount=4").code == 0, "and it is Helm's field again"


def test_an_autoscaler_that_came_with_a_failure_leaves_the_number_of_pods_to_helm(wordtell_deploy, server) -> None:
    """Row 3, and back."""
    assert wordtell_deploy("apply", "--set", "replicaCount=6").code == 0
    controllers.fail_for(server, "nopull")
    server.controllers.append(controllers.autoscaler)
    done = wordtell_deploy("apply", "--set", "hpa=8,image.tag=nopull")
    assert "rolled back to revision 1, as revision 3" in done.err
    assert 1 not in replicas(server)
    assert replicas(server)[-1] == 6
    done = wordtell_deploy("apply", "--set", "replicaCount=4")
    assert done.code == 0, done.err


def test_an_inference_service_is_judged_by_its_pods_and_by_what_changed(wordtell_deploy, server) -> None:
    """Row 5: its observedGeneration is another object's."""
    server.served |= copy.deepcopy(KSERVE)
    server.controllers[:] = [controllers.kserve]
    assert wordtell_deploy("apply", "kserve").code == 0
    started = time.monotonic()
    done = wordtell_deploy("apply", "kserve", "--set", "replicaCount=3", "--timeout", "20")
    assert done.code == 0, done.err
    assert time.monotonic() - started > 0.3, "the old Ready is not taken for the new one's"
    assert server.find("deployments", "wordtell-predictor")["status"]["availableReplicas"] == 3
    assert "Ready True" in wordtell_deploy("status").out


def test_an_api_server_that_is_restarted_is_waited_for(wordtell_deploy, server) -> None:
    """Row 6."""
    calm = controllers.deployment()
    server.controllers[:] = [controllers.deployment(controllers.waiting("ContainerCreating"))]

    def restart(state, item) -> None:
        if item["kind"] == "Deployment":
            state.controllers[:] = [calm]
            threading.Timer(0.3, lambda: setattr(state, "down_until", time.monotonic() + 1)).start()
            threading.Timer(1.0, lambda: calm(state, item)).start()

    server.controllers.append(restart)
    done = wordtell_deploy("apply", "--timeout", "20")
    assert done.code == 0, done.err
    assert "1, deployed" in wordtell_deploy("status").out


def test_an_api_server_that_is_restarted_is_waited_for_by_delete_too(wordtell_deploy, server) -> None:
    """Row 6, while what was deleted lingers."""
    assert wordtell_deploy("apply").code == 0
    server.lingers["deployments"] = 0.5
    fault = Refused(500, "InternalError", "etcdserver: request timed out")
    remove, asked = server.remove, []

    def restart(key) -> None:
        remove(key)
        asked.append(key[1])
        if asked.count("deployments") == 2:  # Helm's request, and ours for what is still there
            server.scripted += [("GET", "/deployments/wordtell$", fault)] * 2

    server.remove = restart
    done = wordtell_deploy("delete", "--yes")
    assert done.code == 0, done.err
    assert server.find("deployments", "wordtell") is None


def test_the_outcome_is_recorded_though_the_api_server_goes_at_the_end(wordtell_deploy, server) -> None:
    """Row 6: what is ready is not said to be waited for."""
    fault = Refused(500, "InternalError", "etcdserver: request timed out")
    server.scripted += [("PATCH", "/secrets/sh.helm.release.v1.wordtell.v1$", fault)] * 2
    done = wordtell_deploy("apply", "--timeout", "20")
    assert done.code == 0, done.err
    assert wordtell_deploy("history").out.splitlines()[-1].split()[:2] == ["1", "deployed"]
    controllers.fail_for(server, "nopull")
    assert wordtell_deploy("apply", "--set", "image.tag=nopull", "--no-wait").code == 0
    assert wordtell_deploy("apply").code == 0
    server.scripted += [("PATCH", "/secrets/sh.helm.release.v1.wordtell.v4$", fault)] * 2
    done = wordtell_deploy("rollback", "2", "--timeout", "20")
    assert "ErrImagePull: example.org/wordtell:nopull: not found" in done.err
    assert wordtell_deploy("history").out.splitlines()[-1].split()[:3] == ["4", "deployed,", "failed"]


def test_an_api_server_that_goes_while_helm_applies_leaves_no_open_end(wordtell_deploy, server) -> None:
    """Row 6, in the middle of Helm's own step: what is owed is done when the server is back."""
    assert wordtell_deploy("apply").code == 0
    fault = Refused(500, "InternalError", "etcdserver: request timed out")

    def go(state, item) -> None:
        if item["kind"] == "ConfigMap":
            state.controllers.remove(go)
            state.scripted += [("PATCH", "services", fault)]
            # The first ways back fail too, and longer than one would try if there were no hope.
            state.scripted += [("GET", "^/version$", fault)] * 10
            state.scripted += [("GET", "sh.helm.release.v1.wordtell.v1$", fault)] * 2

    server.controllers.append(go)
    done = wordtell_deploy("apply", "--set", "greeting=other", "--timeout", "20")
    assert done.code == 1
    assert "timed out [rolled back to revision 1, as revision 3]" in done.err
    assert "deployed" in wordtell_deploy("history").out.splitlines()[-1]
    assert server.find("configmaps", "wordtell")["data"] == {"greeting": "hello"}


def test_what_the_chart_no_longer_has_stays_if_nobody_waits(wordtell_deploy, server) -> None:
    assert wordtell_deploy("apply").code == 0
    done = wordtell_deploy("apply", "--set", "fullnameOverride=fresh", "--no-wait")
    assert "stays until an `apply` that waits" in done.out
    assert server.find("deployments", "wordtell") is not None
    assert wordtell_deploy("apply", "--set", "fullnameOverride=fresh").code == 0
    assert server.find("deployments", "wordtell") is None


def test_pull_errors_that_pass_and_pods_that_wait_for_a_node_have_time(wordtell_deploy, server) -> None:
    """Row 8."""
    calm = controllers.deployment()
    for trouble in (controllers.waiting("ErrImagePull", "i/o timeout"), controllers.unschedulable("0/3 nodes")):

        def mend(state, item) -> None:
            if item["kind"] == "Deployment":
                state.controllers[:] = [calm]
                threading.Timer(0.3, lambda: calm(state, item)).start()

        server.controllers[:] = [controllers.deployment(trouble), mend]
        done = wordtell_deploy("apply", "--timeout", "20")
        assert done.code == 0, done.err


def test_the_pods_of_a_failure_before_do_not_count_against_the_remedy(wordtell_deploy, server) -> None:
    """Row 8's kind: the controller takes a moment to look at the new revision."""
    controllers.fail_for(server, "nopull")
    assert wordtell_deploy("apply", "--set", "image.tag=nopull", "--no-wait").code == 0
    calm = controllers.deployment()

    def late(state, item) -> None:
        if item["kind"] == "Deployment":
            threading.Timer(0.3, lambda: calm(state, item)).start()

    server.controllers[:] = [late]
    done = wordtell_deploy("apply", "--timeout", "20")
    assert done.code == 0, done.err


def test_a_pool_that_scales_from_zero_is_no_obstacle(wordtell_deploy, server) -> None:
    """Row 8: a way past the check of the nodes."""
    server.objects.pop(("", "nodes", "", "big"))
    assert "none of 0 nodes is ready" in wordtell_deploy("apply").err
    done = wordtell_deploy("apply", "--ignore", "nodes")
    assert done.code == 0, done.err
    assert "warning: none of 0 nodes is ready" in done.err


@pytest.mark.parametrize(
    ("files", "sets", "wanted"),
    [
        (None, [(False, "a[0]=x"), (False, "a[1]=y")], {"a": ["x", "y"]}),
        ("a: [p, q, r]", [(False, "a[1]=y")], {"a": ["p", "y", "r"]}),
        ("a: [p, q, r]", [(False, "a={x,y}")], {"a": ["x", "y"]}),
        ("a: [{b: 1, c: 2}]", [(False, "a[0].b=3,d=e")], {"a": [{"b": 3, "c": 2}], "d": "e"}),
        (None, [(False, "tag=2"), (True, "text=2,on=true")], {"tag": 2, "text": "2", "on": "true"}),
        ("a: {b: 1, c: 2}", [(False, "a.b=null")], {"a": {"b": None, "c": 2}}),
        (None, [(False, r"a=1\,2")], {"a": "1,2"}),
        (None, [(True, "a=1"), (False, "a=2")], {"a": "1"}),
        ("a: 1", [(False, "a=2"), (False, "a=3")], {"a": 3}),
    ],
)
def test_set_means_what_helm_means(tmp_path: Path, files, sets, wanted) -> None:
    """Row 13."""
    given = tmp_path / "values.yaml"
    given.write_text(files or "{}")
    typed, texts = ([text for as_text, text in sets if as_text is wished] for wished in (False, True))
    assert render.values(render.Order(Release("w", "shop"), files=[given], sets=typed, texts=texts)) == wanted


def test_two_releases_of_the_kserve_form_share_a_namespace(wordtell_deploy, server) -> None:
    """Rows 4 and 12: what KServe's webhook refuses."""
    server.served |= copy.deepcopy(KSERVE)
    server.admission.append(controllers.kserve_webhook)
    server.controllers[:] = [controllers.kserve]
    values = ("--chart", str(render.CHART), "--set", "kserve.storageUri=pvc://a/b,autoscaling.type=keda")
    for name in ("one", "two"):
        done = wordtell_deploy("apply", "kserve", "--name", name, *values)
        assert done.code == 0, done.err
    server.put({
        "apiVersion": "serving.kserve.io/v1alpha1", "kind": "ServingRuntime",
        "metadata": {"name": "w", "namespace": "shop"},
        "spec": {"supportedModelFormats": [{"name": "wordtell", "autoSelect": True, "priority": 1}]},
    })  # fmt: skip
    with pytest.raises(Refused, match="priority"):
        server.apply({**server.find("servingruntimes", "w"), "metadata": {"name": "x", "namespace": "shop"}}, "kubectl")


def test_what_kubectl_applied_first_is_no_conflict_when_helm_has_it(wordtell_deploy, server) -> None:
    """Row 14: quantities are text, and a divisor is written, so that what is stored is what was sent."""
    objects = render.render(render.Order(Release("wordtell", "shop"))).objects
    for item in objects:
        server.apply(item, "kubectl")
        server.apply(item, "somebody")  # the same again: no conflict with itself


def test_what_kubectl_applied_first_is_taken_over_by_force(wordtell_deploy, server) -> None:
    """Row 14: what conflicts is the label alone that says who manages the object, no quantity and no divisor."""
    for item in yaml.safe_load_all(wordtell_deploy("render", "-n", "shop", "--chart", str(render.CHART)).out):
        server.apply(item, "kubectl")
    done = wordtell_deploy("apply", "--chart", str(render.CHART))
    owned = set(re.findall(r"kubectl owns (.*?); --force-conflicts", done.err))
    assert owned == {".metadata.labels.app.kubernetes.io/managed-by"}
    done = wordtell_deploy("apply", "--chart", str(render.CHART), "--force-conflicts")
    assert done.code == 0, done.err
    assert wordtell_deploy("status").code == 0


def test_a_network_policy_without_a_way_out_does_not_change_at_every_apply(wordtell_deploy, server) -> None:
    """Row 10."""
    values = ("--chart", str(render.CHART), "--set", "networkPolicy.enabled=true")
    for _ in range(2):
        done = wordtell_deploy("apply", *values)
        assert done.code == 0, done.err
    assert server.find("networkpolicies", "wordtell")["metadata"]["generation"] == 1


def test_status_tells_what_is_missing_and_its_exit_code_too(wordtell_deploy, server) -> None:
    """Row 15."""
    assert wordtell_deploy("apply").code == 0
    assert wordtell_deploy("status").code == 0
    server.remove(server.key(server.find("services", "wordtell")))
    done = wordtell_deploy("status")
    assert done.code == 1
    assert "is not there: `apply` brings it back" in done.out
    assert json.loads(wordtell_deploy("status", "--json").out)["missing"] == ["Service/wordtell"]
    assert wordtell_deploy("apply").code == 0
    controllers.fail_for(server, "nopull")
    assert wordtell_deploy("apply", "--set", "image.tag=nopull", "--no-wait").code == 0
    done = wordtell_deploy("status")
    assert done.code == 1
    assert "ErrImagePull" in done.out


def test_preflight_is_quick_and_asks_for_no_more_than_an_apply_needs(wordtell_deploy, server) -> None:
    """Row 15: 67 requests one after another took 7 s."""
    server.delay_s = 0.1
    server.denied |= {("create", "pods/portforward"), ("get", "pods/portforward")}
    start = time.monotonic()
    done = wordtell_deploy("preflight", "--chart", str(render.CHART))
    assert time.monotonic() - start < 3
    assert done.code == 0, done.out
    assert not {resource for _, _, resource in preflight.OWN} & {"pods/portforward"}


def test_a_namespace_that_is_going_is_no_place_for_a_release(wordtell_deploy, server) -> None:
    """Row 15."""
    server.find("namespaces", "shop")["metadata"]["deletionTimestamp"] = "2026-11-25T00:00:00Z"
    assert "Namespace/shop is being deleted (wait until it is gone)" in wordtell_deploy("apply").err


def test_a_timeout_is_kept(wordtell_deploy, server) -> None:
    """Row 15: it took 5 s more."""
    server.controllers[:] = [controllers.deployment(controllers.waiting("ContainerCreating"))]
    start = time.monotonic()
    done = wordtell_deploy("apply", "--timeout", "2")
    assert "not ready after" in done.err
    assert "ContainerCreating" in done.err
    assert time.monotonic() - start < 5


def test_busy_servers_are_asked_again(wordtell_deploy, server) -> None:
    busy = Refused(429, "TooManyRequests", "slow down", retry_after="0")
    server.scripted += [("GET", "/deployments/wordtell$", busy), ("PATCH", "/services/wordtell$", busy)]
    done = wordtell_deploy("apply")
    assert done.code == 0, done.err
