"""The only importer of `kubernetes`: takes a kubeconfig, and returns objects as plain data or raises our errors.

Paths are built from discovery (two requests for every kind), so custom resources work like built-in ones.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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
_TIMEOUT_S = (5.0, 30.0)
# How often an overloaded server is asked, and the longest wait each time (seconds).
TRIES, LONGEST_WAIT_S = 5, 20.0
# Requests at once.
_LANES = 16
_LOG_LINES = "5"
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class _Patience(urllib3.Retry):
    """Retries what an overloaded server refuses, when it says (`Retry-After`), but not later than LONGEST_WAIT_S."""

    def parse_retry_after(self, retry_after: str) -> float:
        return min(super().parse_retry_after(retry_after), LONGEST_WAIT_S)


def connect(kubeconfig: Path | None = None, context: str | None = None) -> Cluster:
    """The cluster of a kubeconfig's context; without any kubeconfig, the one that we run in. Raises ClusterError."""
    settings, namespace = client.Configuration(), "default"
    file: str | None = str(kubeconfig or os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    try:
        if any(Path(part).is_file() for part in str(file).split(os.pathsep) if part):
            contexts, current = config.list_kube_config_contexts(file)
            known = {entry["name"]: entry["context"] for entry in contexts}
            if context and context not in known:
                raise ClusterError(f"there is no context {context!r} in {file}: there are {', '.join(known)}")
            config.load_kube_config(file, context, client_configuration=settings, persist_config=False)
            namespace = known[context or current["name"]].get("namespace") or namespace
        elif kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=settings)
            file = None
        else:
            raise ClusterError(f"there is no kubeconfig at {file}: set KUBECONFIG or give --kubeconfig")
    except ClusterError:
        raise
    except (config.ConfigException, OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ClusterError(f"{file} is not a usable kubeconfig: {' '.join(str(error).split())}") from None
    settings.connection_pool_maxsize = _LANES
    settings.retries = _Patience(
        TRIES - 1, connect=0, read=0, other=0, status_forcelist=(429, 503), allowed_methods=None, backoff_factor=1,
        raise_on_status=False,
    )  # fmt: skip
    return Cluster(client.ApiClient(settings), namespace, file)


class Cluster:
    """An API server. `kubeconfig` is the file (or files) it was read from. Every method raises a ClusterError."""

    def __init__(self, api: Any, namespace: str, kubeconfig: str | None) -> None:
        self._api = api
        self._served: dict[str, dict[str, Object]] = {}
        self.namespace, self.kubeconfig, self.address = namespace, kubeconfig, str(api.configuration.host)

    def version(self) -> str:
        """The server's version, such as `v1.32.4`."""
        return str(self._json("GET", "/version")["gitVersion"])

    def served(self) -> dict[str, dict[str, Object]]:
        """group/version -> kind -> its resource in discovery, the preferred version of a group first."""
        if not self._served:
            accept = ",".join(map(_DISCOVERY.format, ("v2", "v2beta1")))
            answers = self.each(lambda root: self._json("GET", root, accept=accept), ("/api", "/apis"))
            for group in (group for answer in answers for group in answer.get("items", [])):
                for version in group["versions"]:
                    name = f"{group['metadata'].get('name', '')}/{version['version']}".strip("/")
                    entries = [entry for entry in version.get("resources", []) if entry.get("responseKind")]
                    self._served[name] = {entry["responseKind"]["kind"]: entry for entry in entries}
            if not self._served:
                raise ClusterError("the cluster does not tell its kinds at once: it is older than Kubernetes 1.27")
        return self._served

    def get(self, wanted: Reference) -> Object | None:
        """The object, or None if it is not there, or its kind is not served."""
        return self._existing("GET", wanted)

    def live(self, objects: Iterable[Object]) -> dict[Reference, Object | None]:
        """Each of these objects as it is in the cluster, or None."""
        wanted = [reference(item) for item in objects]
        return dict(zip(wanted, self.each(self.get, wanted), strict=True))

    def find(self, api_version: str, kind: str, namespace: str = "", selector: str = "") -> list[Object]:
        """All objects of a kind, in one namespace or in all, whose labels match."""
        query = {"labelSelector": selector} if selector else {}
        found = self._json("GET", self._path(Reference(api_version, kind, namespace, "")), query)
        return [{"apiVersion": api_version, "kind": kind, **item} for item in found["items"]]

    def apply(self, manifest: Object, *, manager: str = HELM, dry_run: bool = False, force: bool = False) -> Object:
        """Server-side apply. Returns the object as it is then, or in a dry run would be."""
        query = {"fieldManager": manager, "fieldValidation": "Strict", "force": str(force).lower()}
        query |= {"dryRun": "All"} if dry_run else {}
        return self._json("PATCH", self._path(reference(manifest)), query, manifest, "application/apply-patch+yaml")

    def patch(self, wanted: Reference, change: Object, manager: str) -> Object:
        """A merge patch: null removes a field."""
        query = {"fieldManager": manager}
        return self._json("PATCH", self._path(wanted), query, change, "application/merge-patch+json")

    def create(self, manifest: Object) -> Object:
        """POST: for namespaces, and for reviews, which are questions and not objects."""
        path = self._path(Reference(manifest["apiVersion"], manifest["kind"], "", ""))
        return self._json("POST", path, {}, manifest)

    def delete(self, wanted: Reference) -> bool:
        """Start to delete an object, its dependents first. False if it did not exist."""
        return self._existing("DELETE", wanted, {"propagationPolicy": "Foreground"}) is not None

    def log(self, namespace: str, pod: str, container: str) -> str:
        """The end of the log of a container's last run but one, else of its last; empty if it has none (any more)."""
        path = self._path(Reference("v1", "Pod", namespace, pod)) + "/log"
        for previous in ("true", "false"):
            with suppress(ClusterError):
                query = {"container": container, "tailLines": _LOG_LINES, "previous": previous}
                if text := self._send("GET", path, query, accept="*/*").decode("utf-8", "replace").strip():
                    return text
        return ""

    def forward(self, namespace: str, pod: str, port: int) -> socket.socket:
        """A socket to the pod's port over a WebSocket to the API server."""
        try:
            api = client.CoreV1Api(self._api)
            forwarder = portforward(api.connect_get_namespaced_pod_portforward, pod, namespace, ports=str(port))
            return cast(socket.socket, forwarder.socket(port))
        except client.ApiException as error:
            reason = " ".join(str(error.reason or error).split())
            raise ClusterError(f"no port-forward to Pod/{pod}: {reason}; grant `create` on pods/portforward") from None

    def each(self, ask: Callable[[Asked], Answer], over: Iterable[Asked]) -> Sequence[Answer]:
        """The result of `ask` for each item, several at a time. The first error is raised."""
        with ThreadPoolExecutor(_LANES) as pool:
            return list(pool.map(ask, over))

    def _path(self, target: Reference) -> str:
        entry = self.served().get(target.api_version, {}).get(target.kind)
        if entry is None:
            raise ClusterError(f"the cluster does not serve {target.kind} in {target.api_version}", 404)
        root = f"/apis/{target.api_version}" if target.group else f"/api/{target.api_version}"
        namespace = f"/namespaces/{target.namespace}" if entry["scope"] == "Namespaced" and target.namespace else ""
        return f"{root}{namespace}/{entry['resource']}" + (f"/{target.name}" if target.name else "")

    def _existing(self, method: str, wanted: Reference, query: Mapping[str, str] | None = None) -> Object | None:
        try:
            return self._json(method, self._path(wanted), query)
        except ClusterError as error:
            if error.http == 404:
                return None
            raise

    def _json(self, *call: Any, **more: Any) -> Object:
        return cast(Object, json.loads(self._send(*call, **more)))

    def _send(  # noqa: PLR0913, PLR0917  # what HTTP has
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Object | None = None,
        content: str = "application/json", accept: str = "application/json",
    ) -> bytes:  # fmt: skip
        """The answer's body."""
        headers = {"Accept": accept, **({"Content-Type": content} if method != "GET" else {})}
        more = {"query_params": list((query or {}).items()), "header_params": headers, "body": body}
        request = self._api.param_serialize(method, path, auth_settings=["BearerToken"], **more)
        try:
            response = self._api.call_api(*request, _request_timeout=_TIMEOUT_S).response
            text = bytes(response.data)
        except (urllib3.exceptions.HTTPError, OSError, client.ApiException) as error:
            raise Unreachable(self.address, error) from None
        if response.status >= 400:
            raise refusal(response.status, text, TRIES)
        return text
