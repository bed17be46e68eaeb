"""The one importer of `kubernetes`: a kubeconfig in, objects as plain data and errors of our own out.

Paths are built from discovery (two requests, every kind), so that custom resources are as good as built-in ones. The
client's own retries are off: what is retried, and how long, is decided here alone.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import urllib3
import yaml
from kubernetes import client, config
from kubernetes.stream import portforward

from deploy.errors import ClusterError, Unreachable, refusal
from deploy.manifests import reference
from deploy.types import HELM, Object, Reference

# Seconds: to connect, to answer.
CONNECT_S, READ_S = 5.0, 30.0
# An overloaded server is asked again this often, and for no longer than this at a time (seconds).
TRIES, LONGEST_WAIT_S = 5, 20.0
# Requests at once.
_LANES = 16
_DISCOVERY = ",".join(
    f"application/json;g=apidiscovery.k8s.io;v={v};as=APIGroupDiscoveryList" for v in ("v2", "v2beta1")
)
MERGE, APPLY = "application/merge-patch+json", "application/apply-patch+yaml"
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


def connect(kubeconfig: Path | None = None, context: str | None = None) -> Cluster:
    """The cluster of a kubeconfig's context; without any kubeconfig, the one that we run in. Raises ClusterError."""
    settings = client.Configuration()
    file: str | None = str(kubeconfig or os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    namespace = "default"
    try:
        if any(Path(part).is_file() for part in str(file).split(os.pathsep) if part):
            contexts, current = config.list_kube_config_contexts(file)
            names = [entry["name"] for entry in contexts]
            if context and context not in names:
                raise ClusterError(f"there is no context {context!r} in {file}: there are {', '.join(names)}")
            config.load_kube_config(file, context, client_configuration=settings, persist_config=False)
            chosen = next(entry for entry in contexts if entry["name"] == (context or current["name"]))
            namespace = chosen["context"].get("namespace") or namespace
        elif kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=settings)
            file = None
        else:
            raise ClusterError(f"there is no kubeconfig at {file}: set KUBECONFIG or give --kubeconfig")
    except (config.ConfigException, OSError, KeyError, TypeError, yaml.YAMLError) as error:
        if isinstance(error, ClusterError):
            raise
        raise ClusterError(f"{file} is not a usable kubeconfig: {' '.join(str(error).split())}") from None
    settings.retries = False
    settings.connection_pool_maxsize = _LANES
    return Cluster(client.ApiClient(settings), namespace, file)


@dataclass(frozen=True)
class _Call:
    """One HTTP request."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Object | None = None
    content: str = "application/json"
    accept: str = "application/json"


class Cluster:
    """An API server. `kubeconfig` is the file (or files) it was read from. Every method raises a ClusterError."""

    def __init__(
        self, api: Any, namespace: str = "default", kubeconfig: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self._api, self._sleep = api, sleep
        self._served: dict[str, dict[str, Object]] = {}
        self.namespace, self.kubeconfig = namespace, kubeconfig
        self.address = str(api.configuration.host)

    def version(self) -> str:
        """The server's version, such as `v1.32.4`."""
        return str(self._json(_Call("GET", "/version"))["gitVersion"])

    def served(self) -> dict[str, dict[str, Object]]:
        """group/version -> kind -> its resource in discovery, the preferred version of a group first."""
        if not self._served:
            answers = self.each(lambda root: self._json(_Call("GET", root, accept=_DISCOVERY)), ("/api", "/apis"))
            groups = [group for answer in answers for group in answer.get("items", [])]
            if not groups:
                raise ClusterError(
                    "the cluster does not tell its kinds in one answer: it is older than Kubernetes 1.27"
                )
            self._served = {
                f"{group['metadata'].get('name', '')}/{version['version']}".strip("/"): {
                    entry["responseKind"]["kind"]: entry
                    for entry in version.get("resources", []) if entry.get("responseKind")
                }
                for group in groups for version in group["versions"]
            }  # fmt: skip
        return self._served

    def kinds(self, api_version: str) -> dict[str, str]:
        """What is served under a group and version: kind -> the resource's (plural) name in paths and roles."""
        return {kind: str(entry["resource"]) for kind, entry in self.served().get(api_version, {}).items()}

    def versions(self, group: str) -> list[str]:
        """The versions of an API group that are served; empty if the group is unknown."""
        return [one.rpartition("/")[2] for one in self.served() if one.rpartition("/")[0] == group]

    def get(self, wanted: Reference) -> Object | None:
        """The object, or None if it is not there, or its kind is not served."""
        if wanted.kind not in self.kinds(wanted.api_version):
            return None
        try:
            return self._json(_Call("GET", self._path(wanted)))
        except ClusterError as error:
            if error.http == 404:
                return None
            raise

    def find(self, api_version: str, kind: str, namespace: str = "", selector: str = "") -> list[Object]:
        """All objects of a kind, in one namespace or in all, whose labels match."""
        query = {"labelSelector": selector} if selector else {}
        found = self._json(_Call("GET", self._path(Reference(api_version, kind, namespace, "")), query))
        return [{"apiVersion": api_version, "kind": kind, **item} for item in found["items"]]

    def apply(self, manifest: Object, *, manager: str = HELM, dry_run: bool = False, force: bool = False) -> Object:
        """Server-side apply; the object as it is, or would be, then."""
        query = {"fieldManager": manager, "fieldValidation": "Strict", "force": str(force).lower()}
        query |= {"dryRun": "All"} if dry_run else {}
        return self._json(_Call("PATCH", self._path(reference(manifest)), query, manifest, APPLY))

    def patch(self, wanted: Reference, change: Object, manager: str) -> Object:
        """A merge patch: null takes a field away."""
        return self._json(_Call("PATCH", self._path(wanted), {"fieldManager": manager}, change, MERGE))

    def create(self, manifest: Object) -> Object:
        """POST: for namespaces, and for reviews, which are questions and not objects."""
        target = Reference(
            manifest["apiVersion"], manifest["kind"], manifest.get("metadata", {}).get("namespace", ""), ""
        )
        return self._json(_Call("POST", self._path(target), {}, manifest))

    def delete(self, wanted: Reference) -> bool:
        """Begin to delete, what depends on the object first; False if it was not there."""
        try:
            self._json(_Call("DELETE", self._path(wanted), {"propagationPolicy": "Foreground"}))
        except ClusterError as error:
            if error.http == 404:
                return False
            raise
        return True

    def log(self, namespace: str, pod: str, container: str, *, lines: int, previous: bool) -> str:
        """The end of a container's log; empty if it has none (any more)."""
        path = self._path(Reference("v1", "Pod", namespace, pod)) + "/log"
        query = {"container": container, "tailLines": str(lines), "previous": str(previous).lower()}
        try:
            return self._send(_Call("GET", path, query, accept="*/*")).decode("utf-8", "replace").strip()
        except ClusterError:
            return ""

    def forward(self, namespace: str, pod: str, port: int) -> socket.socket:
        """A socket to the pod's port over a WebSocket to the API server."""
        try:
            api = client.CoreV1Api(self._api)
            forwarder = portforward(api.connect_get_namespaced_pod_portforward, pod, namespace, ports=str(port))
            return cast(socket.socket, forwarder.socket(port))
        except client.ApiException as error:
            reason = " ".join(str(error.reason or error).split())
            raise ClusterError(
                f"no port-forward to Pod/{pod}: {reason}; it needs `create` on pods/portforward"
            ) from None

    def each(self, ask: Callable[[Asked], Answer], over: Iterable[Asked]) -> Sequence[Answer]:
        """What `ask` answers for each, several at a time; the first error ends it."""
        with ThreadPoolExecutor(_LANES) as pool:
            return list(pool.map(ask, over))

    def _path(self, target: Reference) -> str:
        entry = self.served().get(target.api_version, {}).get(target.kind)
        if entry is None:
            raise ClusterError(f"the cluster does not serve {target.kind} in {target.api_version}", 404)
        root = f"/apis/{target.api_version}" if target.group else f"/api/{target.api_version}"
        namespace = f"/namespaces/{target.namespace}" if entry["scope"] == "Namespaced" and target.namespace else ""
        return f"{root}{namespace}/{entry['resource']}" + (f"/{target.name}" if target.name else "")

    def _json(self, call: _Call) -> Object:
        return cast(Object, json.loads(self._send(call)))

    def _send(self, call: _Call) -> bytes:
        """The answer's body. A server that asks for patience is obeyed, within TRIES and LONGEST_WAIT_S."""
        headers = {"Accept": call.accept, **({"Content-Type": call.content} if call.method != "GET" else {})}
        request = self._api.param_serialize(
            call.method, call.path, query_params=list(call.query.items()), header_params=headers, body=call.body,
            auth_settings=["BearerToken"],
        )  # fmt: skip
        for attempt in range(1, TRIES + 1):
            try:
                response = self._api.call_api(*request, _request_timeout=(CONNECT_S, READ_S)).response
                text = bytes(response.data)
            except (urllib3.exceptions.HTTPError, OSError, client.ApiException) as error:
                raise Unreachable(self.address, error) from None
            if response.status < 400:
                return text
            if response.status not in (429, 503) or attempt == TRIES:
                raise refusal(response.status, text, attempt)
            asked = response.headers.get("Retry-After", "")
            self._sleep(min(float(asked) if asked.isdigit() else 0.5 * 2**attempt, LONGEST_WAIT_S))
        raise AssertionError("the last try returns or raises")
