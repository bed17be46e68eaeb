"""A small Kubernetes API server over real HTTP: it keeps objects, field managers and a history to watch.

What it does as the real one does: discovery, server-side apply with conflicts and dry run, label selectors, foreground
deletion, watches with bookmarks, access reviews, logs and port-forwards, and `Status` objects for what it refuses.
What it does not do by itself: run anything. A test's controller (see controllers.py) plays that part.
"""

from __future__ import annotations

import copy
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.deploy.portforward import forward

Object = dict[str, Any]
Key = tuple[str, str, str, str]
# group/version -> [(kind, plural, namespaced)]
BUILT_IN = {
    "v1": [
        *(("Namespace", "namespaces", False), ("Node", "nodes", False), ("Pod", "pods", True)),
        *(("Service", "services", True), ("ConfigMap", "configmaps", True), ("Secret", "secrets", True)),
        *(("ServiceAccount", "serviceaccounts", True), ("Event", "events", True)),
        *(("PersistentVolumeClaim", "persistentvolumeclaims", True), ("ResourceQuota", "resourcequotas", True)),
    ],
    "apps/v1": [("Deployment", "deployments", True), ("ReplicaSet", "replicasets", True)],
    "autoscaling/v2": [("HorizontalPodAutoscaler", "horizontalpodautoscalers", True)],
    "policy/v1": [("PodDisruptionBudget", "poddisruptionbudgets", True)],
    "networking.k8s.io/v1": [
        *(("Ingress", "ingresses", True), ("IngressClass", "ingressclasses", False)),
        ("NetworkPolicy", "networkpolicies", True),
    ],
    "authorization.k8s.io/v1": [("SelfSubjectAccessReview", "selfsubjectaccessreviews", False)],
}


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    query: dict[str, str]
    content: str
    body: Any


class Refused(Exception):
    """Answer with a Status object."""

    def __init__(
        self, code: int, reason: str, message: str, details: Object | None = None, retry_after: str = ""
    ) -> None:
        super().__init__(message)
        self.code, self.retry_after = code, retry_after
        self.status = {
            **{"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"},
            **{"message": message, "reason": reason, "details": details or {}, "code": code},
        }


@dataclass
class ApiServer:
    """The state. `denied` holds (verb, plural) pairs; `scripted` refuses the next request that matches, once each;
    `watches` says how the next watch requests end: "gone" (410) or "drop" (the connection breaks inside a line).
    """

    git_version: str = "v1.32.4"
    served: dict[str, list[tuple[str, str, bool]]] = field(default_factory=lambda: copy.deepcopy(BUILT_IN))
    objects: dict[Key, Object] = field(default_factory=dict)
    denied: set[tuple[str, str]] = field(default_factory=set)
    scripted: list[tuple[str, str, Refused]] = field(default_factory=list)
    watches: list[str] = field(default_factory=list)
    controllers: list[Callable[[ApiServer, Object], None]] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    backends: dict[str, int] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    owners: dict[Key, dict[str, str]] = field(default_factory=dict)
    events: list[tuple[int, str, str, str, Object]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    version: int = 100
    url: str = ""

    def start(self) -> Callable[[], None]:
        """Listen on a free port of loopback; call what comes back to end it."""
        state = self
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return stop

    def kubeconfig(self, namespace: str = "shop") -> str:
        """A kubeconfig for this server, as YAML (JSON is YAML)."""
        return json.dumps({
            **{"apiVersion": "v1", "kind": "Config", "current-context": "here"},
            "clusters": [{"name": "here", "cluster": {"server": self.url}}],
            "users": [{"name": "jane", "user": {"token": "of-jane"}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "jane", "namespace": namespace}}],
        })  # fmt: skip

    def put(self, item: Object, manager: str = "somebody") -> Object:
        """Set an object as another client or a controller would."""
        group, _, _ = item["apiVersion"].rpartition("/")
        plural, _ = self.resource(item["apiVersion"], item["kind"])
        key = (group, plural, item["metadata"].get("namespace", ""), item["metadata"]["name"])
        owners = self.owners.setdefault(key, {})
        before = dict(_leaves(self.objects.get(key, {})))
        owners.update({path: manager for path, value in _leaves(item) if before.get(path) != value})
        return self._store(key, item)

    def find(self, plural: str, name: str) -> Object | None:
        """An object by its plural kind and name, in any namespace."""
        return next((item for key, item in self.objects.items() if (key[1], key[3]) == (plural, name)), None)

    def resource(self, api_version: str, kind: str) -> tuple[str, bool]:
        """Plural name, and whether namespaced."""
        return next((plural, namespaced) for name, plural, namespaced in self.served[api_version] if name == kind)

    def answer(self, request: Request) -> Object | str:
        """What a request that is not a stream gets. Raises Refused."""
        self.requests.append(request)
        for place, (method, pattern, refusal) in enumerate(self.scripted):
            if method == request.method and re.search(pattern, request.path):
                del self.scripted[place]
                raise refusal
        parts = request.path.strip("/").split("/")
        if parts == ["version"]:
            return {"major": "1", "minor": self.git_version.split(".")[1], "gitVersion": self.git_version}
        if parts == ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        if parts[0] == "apis" and len(parts) == 2:
            return self._group(parts[1])
        if len(parts) == (2 if parts[0] == "api" else 3):
            return self._discovery("/".join(parts[1:]))
        return self._object(request, *locate(request.path))

    def _group(self, group: str) -> Object:
        versions = [{"version": v.split("/")[1], "groupVersion": v} for v in self.served if v.startswith(group + "/")]
        if not versions:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        return {"kind": "APIGroup", "name": group, "versions": versions, "preferredVersion": versions[0]}

    def _discovery(self, api_version: str) -> Object:
        if api_version not in self.served:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        resources = [{"name": plural, "kind": kind, "namespaced": n} for kind, plural, n in self.served[api_version]]
        subresources = [
            {"name": f"{entry['name']}/status", **{**entry, "name": f"{entry['name']}/status"}} for entry in resources
        ]
        return {"kind": "APIResourceList", "groupVersion": api_version, "resources": resources + subresources}

    def _object(self, request: Request, key: Key, api_version: str, sub: str) -> Object | str:
        group, plural, namespace, name = key
        verb = {"PATCH": "patch", "POST": "create", "DELETE": "delete"}.get(request.method, "get" if name else "list")
        if (verb, plural) in self.denied:
            resource = f"{plural}.{group}" if group else plural
            where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
            raise Refused(
                403, "Forbidden",
                f'{resource} {json.dumps(name) + " " if name else ""}is forbidden: User "jane" cannot {verb} resource'
                f' "{plural}" in API group "{group}" {where}', {"name": name, "group": group, "kind": plural},
            )  # fmt: skip
        if plural == "selfsubjectaccessreviews":
            asked = request.body["spec"]["resourceAttributes"]
            resource = "/".join(part for part in (asked["resource"], asked["subresource"]) if part)
            return {**request.body, "status": {"allowed": (asked["verb"], resource) not in self.denied}}
        if sub == "log":
            return self.logs.get(name, "")
        with self.changed:
            if request.method == "PATCH":
                return self._apply(request, key)
            if not name:
                found = self._matching(key, request.query.get("labelSelector", ""))
                items = [{k: v for k, v in item.items() if k not in {"apiVersion", "kind"}} for item in found]
                metadata = {"resourceVersion": str(self.version)}
                return {"kind": "List", "apiVersion": api_version, "metadata": metadata, "items": items}
            if key not in self.objects:
                raise Refused(404, "NotFound", f'{plural} "{name}" not found', {"name": name, "kind": plural})
            if request.method == "DELETE" and "dryRun" not in request.query:
                self.remove(key)
                return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
            return self.objects[key]

    def _apply(self, request: Request, key: Key) -> Object:
        assert request.content == "application/apply-patch+yaml"
        manager, wanted, owners = request.query["fieldManager"], request.body, dict(self.owners.get(key, {}))
        namespace = ("", "namespaces", "", key[2])
        if key[2] and namespace not in self.objects:
            raise Refused(404, "NotFound", f'namespaces "{key[2]}" not found', {"name": key[2], "kind": "namespaces"})
        live = copy.deepcopy(self.objects.get(key, {}))
        have = dict(_leaves(live))
        new = dict(_leaves(wanted))
        clashes = [p for p, v in new.items() if owners.get(p, manager) != manager and have.get(p) != v]
        if clashes and request.query.get("force") != "true":
            said = {path: f'conflict with "{owners[path]}" using {wanted["apiVersion"]}' for path in clashes}
            causes = [{"reason": "FieldManagerConflict", "field": p, "message": message} for p, message in said.items()]
            message = f"Apply failed with {len(causes)} conflict: {causes[0]['message']}: {clashes[0]}"
            raise Refused(409, "Conflict", message, {"name": key[3], "causes": causes})
        gone = [path for path, owner in owners.items() if owner == manager and path not in new]
        for path in gone:
            _unset(live, path)
            del owners[path]
        _merge(live, wanted)
        if "dryRun" in request.query:
            return live
        self.owners[key] = {**owners, **dict.fromkeys(new, manager)}
        stored = self._store(key, live)
        for controller in self.controllers:
            controller(self, stored)
        return self.objects[key]

    def _store(self, key: Key, item: Object) -> Object:
        with self.changed:
            self.version += 1
            before = self.objects.get(key)
            metadata = item["metadata"]
            metadata.setdefault("uid", f"uid-{self.version}")
            metadata.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
            metadata["resourceVersion"] = str(self.version)
            generation = before["metadata"].get("generation", 1) if before else 0
            metadata["generation"] = generation + (before is None or before.get("spec") != item.get("spec"))
            self.objects[key] = copy.deepcopy(item)
            self.events.append((self.version, key[1], key[2], "MODIFIED" if before else "ADDED", self.objects[key]))
            self.changed.notify_all()
            return self.objects[key]

    def remove(self, key: Key) -> None:
        """Delete an object, or mark it as going while it has finalizers."""
        with self.changed:
            if self.objects[key]["metadata"].get("finalizers"):
                self.objects[key]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:01Z"
                return
            item = self.objects.pop(key)
            self.owners.pop(key, None)
            self.version += 1
            item["metadata"]["resourceVersion"] = str(self.version)
            self.events.append((self.version, key[1], key[2], "DELETED", item))
            self.changed.notify_all()

    def _matching(self, key: Key, selector: str) -> list[Object]:
        return [
            item for (group, plural, namespace, _), item in sorted(self.objects.items())
            if (group, plural) == key[:2] and key[2] in {"", namespace} and selects(selector, item)
        ]  # fmt: skip

    def follow(self, key: Key, query: dict[str, str]) -> Iterator[bytes]:
        """The lines of one watch, and how it ends."""
        how = self.watches.pop(0) if self.watches else ""
        if how == "gone":
            status = Refused(410, "Expired", f"too old resource version: {query['resourceVersion']} ({self.version})")
            yield json.dumps({"type": "ERROR", "object": status.status}).encode() + b"\n"
            return
        last, until = int(query["resourceVersion"]), time.monotonic() + float(query["timeoutSeconds"])
        while (left := until - time.monotonic()) > 0:
            with self.changed:
                new = [event for event in self.events if event[0] > last and event[1:3] == key[1:3]]
                if not new:
                    self.changed.wait(min(left, 0.05))
            for version, _, _, kind, item in new:
                last = version
                if selects(query.get("labelSelector", ""), item):
                    line = json.dumps({"type": kind, "object": item}).encode() + b"\n"
                    if how == "drop":
                        yield line[:20]
                        raise ConnectionAbortedError
                    yield line
        bookmark = {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": str(self.version)}}
        yield json.dumps({"type": "BOOKMARK", "object": bookmark}).encode() + b"\n"


def locate(path: str) -> tuple[Key, str, str]:
    """A path's (group, plural, namespace, name), its group and version, and the subresource."""
    found = re.fullmatch(
        r"/(?:api|apis/(?P<g>[^/]+))/(?P<v>[^/]+)(?:/namespaces/(?P<ns>[^/]+)(?=/))?"
        r"/(?P<p>[^/]+)(?:/(?P<n>[^/]+))?(?:/(?P<s>.+))?",
        path,
    )
    assert found, path
    group = found["g"] or ""
    key = (group, found["p"], found["ns"] or "", found["n"] or "")
    return key, f"{group}/{found['v']}".strip("/"), found["s"] or ""


def selects(selector: str, item: Object) -> bool:
    """Equality and existence, which is what the deployer uses."""
    labels = item["metadata"].get("labels") or {}
    terms = [term.partition("=") for term in selector.split(",") if term]
    return all(key in labels and (not equals or labels[key] == value) for key, equals, value in terms)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if f"{path}.{key}" not in {".apiVersion", ".kind", ".metadata.name", ".metadata.namespace", ".metadata.uid",
                                       ".metadata.resourceVersion", ".metadata.generation",
                                       ".metadata.creationTimestamp", ".status"}:  # fmt: skip
                yield from _leaves(inner, f"{path}.{key}")
    else:
        yield path, value


def _unset(item: Object, path: str) -> None:
    # A key may hold dots: take the longest that is there.
    parts = path.strip(".").split(".")
    for stop in range(len(parts), 0, -1):
        key = ".".join(parts[:stop])
        if key in item:
            if stop == len(parts):
                del item[key]
            elif isinstance(item[key], dict):
                _unset(item[key], ".".join(parts[stop:]))
            return


def _merge(into: Object, wanted: Object) -> None:
    for key, value in wanted.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: ApiServer

    def log_message(self, *_: Any) -> None:
        return

    def _do(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        if self.headers.get("Authorization") != "Bearer of-jane":
            return self._send(401, Refused(401, "Unauthorized", "Unauthorized").status)
        request = Request(self.command, parts.path, query, self.headers.get("Content-Type", ""), body)
        if parts.path.endswith("/portforward"):
            self.close_connection = True
            return forward(self.connection, self.headers, self.state.backends[query["ports"]], int(query["ports"]))
        if query.get("watch") == "true":
            return self._stream(request)
        try:
            answer = self.state.answer(request)
        except Refused as refusal:
            return self._send(refusal.code, refusal.status, refusal.retry_after)
        return self._send(200, answer)

    do_GET = do_POST = do_PATCH = do_DELETE = _do  # noqa: N815

    def _send(self, code: int, body: Object | str, retry_after: str = "") -> None:
        raw = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(raw)

    def _stream(self, request: Request) -> None:
        self.state.requests.append(request)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for line in self.state.follow(locate(request.path)[0], request.query):
                self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True
