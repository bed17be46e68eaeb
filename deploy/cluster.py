"""The one importer of `kubernetes`: a kubeconfig in, objects as plain data and errors of our own out.

Paths are built from discovery (one GET a group and version), so that custom resources are as good as built-in ones. The
client's own retries are off: what is retried, and how long, is decided here alone.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import urllib3
import yaml
from kubernetes import client, config
from kubernetes.stream import portforward

from deploy import refusals
from deploy.errors import ClusterError, Unconfigured, UnknownKind, Unreachable
from deploy.manifests import reference
from deploy.types import MANAGER, Object, Reference

# Seconds: to connect, to answer, and the length of one watch request.
CONNECT_S, READ_S, WATCH_S = 5.0, 30.0, 5
# An overloaded server is asked again this often, and for no longer than this at a time (seconds).
TRIES, LONGEST_WAIT_S = 5, 20.0


def connect(kubeconfig: Path | None = None, context: str | None = None) -> KubernetesCluster:
    """The cluster of a kubeconfig's context; without any kubeconfig, the one that we run in. Raises Unconfigured."""
    settings = client.Configuration()
    file = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG", str(Path.home() / ".kube" / "config"))
    there = any(Path(part).is_file() for part in file.split(os.pathsep) if part)
    namespace = "default"
    try:
        if there:
            contexts, current = config.list_kube_config_contexts(file)
            names = [entry["name"] for entry in contexts]
            if context and context not in names:
                raise Unconfigured(f"there is no context {context!r} in {file}: there are {', '.join(names)}")
            config.load_kube_config(file, context, client_configuration=settings, persist_config=False)
            chosen = next(entry for entry in contexts if entry["name"] == (context or current["name"]))
            namespace = chosen["context"].get("namespace") or namespace
        elif kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=settings)
        else:
            raise Unconfigured(f"there is no kubeconfig at {file}: set KUBECONFIG or give --kubeconfig")
    except (config.ConfigException, OSError, KeyError, TypeError, yaml.YAMLError) as error:
        if isinstance(error, Unconfigured):
            raise
        raise Unconfigured(f"{file} is not a usable kubeconfig: {' '.join(str(error).split())}") from None
    settings.retries = False
    return KubernetesCluster(client.ApiClient(settings), namespace)


@dataclass(frozen=True)
class _Call:
    """One HTTP request."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Object | None = None
    content: str = "application/json"
    accept: str = "application/json"
    read_s: float = READ_S


class KubernetesCluster:
    """`deploy.types.Cluster` over the official client."""

    def __init__(
        self, api: Any, namespace: str = "default", sleep: Callable[[float], None] = time.sleep, watch_s: int = WATCH_S
    ) -> None:
        self._api = api
        self._sleep = sleep
        self._watch_s = watch_s
        self._kinds: dict[str, dict[str, Object]] = {}
        self.namespace = namespace
        self.address = str(api.configuration.host)

    def version(self) -> str:
        """The server's version."""
        return str(self._json(_Call("GET", "/version"))["gitVersion"])

    def versions(self, group: str) -> list[str]:
        """The group's served versions, the preferred one first."""
        try:
            found = self._json(_Call("GET", f"/apis/{group}" if group else "/api"))
        except ClusterError as error:
            if error.http == 404:
                return []
            raise
        if not group:
            return [str(version) for version in found["versions"]]
        names = [str(entry["version"]) for entry in found["versions"]]
        preferred = found.get("preferredVersion", {}).get("version")
        return sorted(names, key=lambda name: name != preferred)

    def kinds(self, api_version: str) -> dict[str, str]:
        """Kind -> plural name; empty if the version is not served."""
        return {kind: str(entry["name"]) for kind, entry in self._discover(api_version).items()}

    def get(self, reference: Reference) -> Object | None:
        """The object, or None."""
        try:
            return self._json(_Call("GET", self._path(reference)))
        except ClusterError as error:
            if error.http == 404 and not isinstance(error, UnknownKind):
                return None
            raise

    def find(self, api_version: str, kind: str, namespace: str = "", selector: str = "") -> list[Object]:
        """All objects of a kind."""
        return self._list(api_version, kind, namespace, selector)[0]

    def apply(self, manifest: Object, *, dry_run: bool = False, force: bool = False) -> Object:
        """Server-side apply."""
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict", "force": str(force).lower()}
        if dry_run:
            query["dryRun"] = "All"
        path = self._path(reference(manifest))
        return self._json(_Call("PATCH", path, query, manifest, "application/apply-patch+yaml"))

    def create(self, manifest: Object) -> Object:
        """POST."""
        metadata = manifest.get("metadata", {})
        target = Reference(manifest["apiVersion"], manifest["kind"], metadata.get("namespace", ""), "")
        return self._json(_Call("POST", self._path(target), {}, manifest))

    def delete(self, reference: Reference, *, dry_run: bool = False) -> bool:
        """DELETE; what depends on the object goes first."""
        try:
            query = {"propagationPolicy": "Foreground", **({"dryRun": "All"} if dry_run else {})}
            self._json(_Call("DELETE", self._path(reference), query))
        except ClusterError as error:
            if error.http == 404:
                return False
            raise
        return True

    def watch(self, api_version: str, kind: str, namespace: str, selector: str) -> Iterator[list[Object]]:
        """List, then follow the changes; list again when the server has forgotten where we were (410)."""
        version = ""
        seen: dict[str, Object] = {}
        while True:
            if not version:
                items, version = self._list(api_version, kind, namespace, selector)
                seen = {item["metadata"]["name"]: item for item in items}
                yield list(seen.values())
            for event in self._events(self._path(Reference(api_version, kind, namespace, "")), selector, version):
                item = event["object"]
                if event["type"] == "ERROR":
                    version = ""
                    break
                version = item["metadata"]["resourceVersion"]
                if event["type"] == "BOOKMARK":
                    continue
                if event["type"] == "DELETED":
                    seen.pop(item["metadata"]["name"], None)
                else:
                    seen[item["metadata"]["name"]] = item
                yield list(seen.values())
            else:
                yield list(seen.values())

    def log(self, namespace: str, pod: str, container: str, *, lines: int, previous: bool) -> str:
        """The end of a container's log; empty if it has none (any more)."""
        path = self._path(Reference("v1", "Pod", namespace, pod)) + "/log"
        try:
            query = {"container": container, "tailLines": str(lines), "previous": str(previous).lower()}
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

    def _list(self, api_version: str, kind: str, namespace: str, selector: str) -> tuple[list[Object], str]:
        query = {"labelSelector": selector} if selector else {}
        found = self._json(_Call("GET", self._path(Reference(api_version, kind, namespace, "")), query))
        items = [{"apiVersion": api_version, "kind": kind, **item} for item in found["items"]]
        return items, str(found["metadata"]["resourceVersion"])

    def _events(self, path: str, selector: str, version: str) -> Iterator[Object]:
        """One watch request's events. A stream that breaks off ends it: the next one goes on from the last version."""
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version}
        query |= {"timeoutSeconds": str(self._watch_s), **({"labelSelector": selector} if selector else {})}
        try:
            response = self._open(_Call("GET", path, query, read_s=self._watch_s + READ_S))
        except ClusterError as error:
            if error.http != 410:
                raise
            yield {"type": "ERROR", "object": {}}
            return
        pending = b""
        try:
            for chunk in response.stream(65536):
                *whole, pending = (pending + chunk).split(b"\n")
                yield from (json.loads(line) for line in whole if line.strip())
        except (urllib3.exceptions.HTTPError, OSError):
            self._sleep(1)
        finally:
            response.close()

    def _discover(self, api_version: str) -> dict[str, Object]:
        if api_version not in self._kinds:
            try:
                found = self._json(
                    _Call("GET", f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}")
                )
            except ClusterError as error:
                if error.http != 404:
                    raise
                found = {"resources": []}
            self._kinds[api_version] = {
                entry["kind"]: entry for entry in found["resources"] if "/" not in entry["name"]
            }
        return self._kinds[api_version]

    def _path(self, target: Reference) -> str:
        entry = self._discover(target.api_version).get(target.kind)
        if entry is None:
            raise UnknownKind(target.api_version, target.kind, self.versions(target.group))
        root = f"/apis/{target.api_version}" if target.group else f"/api/{target.api_version}"
        namespace = f"/namespaces/{target.namespace}" if entry["namespaced"] and target.namespace else ""
        return f"{root}{namespace}/{entry['name']}" + (f"/{target.name}" if target.name else "")

    def _json(self, call: _Call) -> Object:
        return cast(Object, json.loads(self._send(call)))

    def _send(self, call: _Call) -> bytes:
        try:
            return bytes(self._open(call).data)
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(self.address, refusals.silence(error)) from None

    def _open(self, call: _Call) -> Any:
        """The answer, its body unread. A server that asks for patience is obeyed, within TRIES and LONGEST_WAIT_S."""
        headers = {"Accept": call.accept, **({"Content-Type": call.content} if call.method != "GET" else {})}
        request = self._api.param_serialize(
            call.method,
            call.path,
            query_params=list(call.query.items()),
            header_params=headers,
            body=call.body,
            auth_settings=["BearerToken"],
        )
        for attempt in range(1, TRIES + 1):
            try:
                response = self._api.call_api(*request, _request_timeout=(CONNECT_S, call.read_s)).response
                if response.status < 400:
                    return response
                text = response.data
            except (urllib3.exceptions.HTTPError, OSError, client.ApiException) as error:
                raise Unreachable(self.address, refusals.silence(error)) from None
            if response.status not in (429, 503) or attempt == TRIES:
                raise refusals.of(call.method, call.path, response.status, text, attempt)
            asked = response.headers.get("Retry-After", "")
            self._sleep(min(float(asked) if asked.isdigit() else 0.5 * 2**attempt, LONGEST_WAIT_S))
        raise AssertionError("the last try returns or raises")
