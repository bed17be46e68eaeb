"""The chart's part of jobs: where they are kept, and by how many pods."""

from __future__ import annotations

import helm_python
import pytest

from bento.settings import JobsSettings
from tests.deploy.charts import kinds, only, pod, rendered

SQLITE = "{replicas: 1, jobs: {database: sqlite}}"
POSTGRESQL = "{jobs: {database: postgresql, postgresql: {urlSecret: wordtell-jobs}}}"


def test_sqlite_has_a_volume_that_outlives_the_release_and_one_pod() -> None:
    objects = rendered(SQLITE)
    claim, deployment = only(objects, "PersistentVolumeClaim"), only(objects, "Deployment")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert deployment["spec"]["replicas"] == 1
    spec = pod(deployment)
    assert spec
    (container,) = spec["containers"]
    (folder,) = [entry["value"] for entry in container["env"] if entry["name"] == "WORDTELL_JOBS__FOLDER"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert folder.startswith(mounts["jobs"] + "/")  # not the root: some disks have lost+found there
    (volume,) = [volume for volume in spec["volumes"] if volume["name"] == "jobs"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_a_claim_of_the_user_is_used() -> None:
    objects = rendered("{replicas: 1, jobs: {database: sqlite, sqlite: {claim: mine}}}")
    assert "PersistentVolumeClaim" not in kinds(objects)
    spec = pod(only(objects, "Deployment"))
    assert spec
    assert {"name": "jobs", "persistentVolumeClaim": {"claimName": "mine"}} in spec["volumes"]


@pytest.mark.parametrize(("more", "kind"), [("", "Deployment"), ("s3://a", "ServingRuntime")])
def test_postgresqls_url_is_a_secret(more: str, kind: str) -> None:
    kserve = f", kserve: {{enabled: true, storageUri: '{more}'}}}}" if more else "}"
    objects = rendered(POSTGRESQL.removesuffix("}") + kserve)
    spec = pod(only(objects, kind))
    assert spec
    (entry,) = [one for one in spec["containers"][0]["env"] if one["name"].startswith("WORDTELL_JOBS__")]
    assert entry["name"] == "WORDTELL_JOBS__DATABASE_URL"
    assert entry["valueFrom"] == {"secretKeyRef": {"name": "wordtell-jobs", "key": "url"}}
    assert "PersistentVolumeClaim" not in kinds(objects)


def test_without_jobs_there_is_nothing_of_them() -> None:
    objects = rendered()
    assert "PersistentVolumeClaim" not in kinds(objects)
    assert "jobs" not in str([item for item in objects if item["kind"] == "Deployment"])


def test_the_network_policy_lets_postgresql_be_asked() -> None:
    closed, way_out = (
        only(rendered(values.removesuffix("}") + ", networkPolicy: {enabled: true}}"), "NetworkPolicy")["spec"]
        for values in (SQLITE, POSTGRESQL)
    )
    assert "egress" not in closed
    assert way_out["egress"] == [{}]


def test_the_way_in_fits_the_largest_job() -> None:
    values = "{replicas: 1, jobs: {database: sqlite}, ingress: {enabled: true}}"
    annotations = only(rendered(values), "Ingress")["metadata"]["annotations"]
    assert int(annotations["nginx.ingress.kubernetes.io/proxy-body-size"]) == JobsSettings().max_body_bytes


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("{jobs: {database: sqlite}}", r"set replicas \(2\) to 1 and autoscaling.type \(none\) to none"),
        ("{replicas: 1, autoscaling: {type: hpa}, jobs: {database: sqlite}}", r"autoscaling.type \(hpa\) to none"),
        (
            "{replicas: 1, jobs: {database: sqlite}, kserve: {enabled: true, storageUri: 's3://a'}}",
            "KServe decides how many pods",
        ),
        ("{jobs: {database: postgresql}}", "jobs.postgresql.urlSecret is empty"),
        (POSTGRESQL.removesuffix("}") + ", config: {jobs: {folder: /jobs}}}", "config.jobs.folder is set"),
    ],
)
def test_what_contradicts_itself_is_refused(values: str, message: str) -> None:
    with pytest.raises(helm_python.HelmRenderError, match=message):
        rendered(values)
