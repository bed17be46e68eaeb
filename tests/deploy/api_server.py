"""A small Kubernetes API server over real HTTP: it keeps objects, field managers and a history to watch.

What it does as the real one does: discovery in one answer and group by group, as much of OpenAPI as Helm asks for,
server-side apply with conflicts, defaults and dry run (fields.py), merge patches, label selectors, deletion that takes
its time, watches with bookmarks, access reviews, logs and port-forwards, and `Status` objects for what it refuses.
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
from datetime import datetime, timezone
from http.server import ThreadingHTTPServer
from typing import Any

from tests.deploy import discovery, fields
from tests.deploy.fields import Owners
from tests.deploy.wire import Handler, Refused, Request

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
KSERVE = {
    "serving.kserve.io/v1alpha1": [("ServingRuntime", "servingruntimes", True)],
    "serving.kserve.io/v1beta1": [("InferenceService", "inferenceservices", True)],
}


@dataclass
class ApiServer:
    """The state. `denied` holds (verb, plural) pairs; `scripted` refuses the next request that matches, once each;
    `watches` says how the next watch requests end: "gone" (410) or "drop" (the connection breaks inside a line);
    `lingers` says for how many seconds a kind (plural) stays after it was deleted; `admission` may raise Refused.
    Until `down_until` (monotonic) every connection is closed unanswered; every answer takes `delay_s`.
    """

    git_version: str = "v1.36.2"
    served: dict[str, list[tuple[str, str, bool]]] = field(default_factory=lambda: copy.deepcopy(BUILT_IN))
    objects: dict[Key, Object] = field(default_factory=dict)
    denied: set[tuple[str, str]] = field(default_factory=set)
    scripted: list[tuple[str, str, Refused]] = field(default_factory=list)
    watches: list[str] = field(default_factory=list)
    lingers: dict[str, float] = field(default_factory=dict)
    admission: list[Callable[[ApiServer, Object], None]] = field(default_factory=list)
    controllers: list[Callable[[ApiServer, Object], None]] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    backends: dict[str, int] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    owners: dict[Key, Owners] = field(default_factory=dict)
    events: list[tuple[int, str, str, str, Object]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    version: int = 100
    delay_s: float = 0.0
    down_until: float = 0.0
    url: str = ""

    def start(self) -> Callable[[], None]:
        """Listen on a free port of loopback; call what comes back to end it."""
        kind = type("Server", (ThreadingHTTPServer,), {"request_queue_size": 128, "daemon_threads": True})
        server = kind(("127.0.0.1", 0), type("Bound", (Handler,), {"state": self}))
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

    def put(self, item: Object, manager: str = "somebody", sub: str = "") -> Object:
        """Set an object as another client or a controller would."""
        key = self.key(item)
        with self.changed:
            item = fields.stored(item)
            fields.put(self.owners.setdefault(key, {}), self.objects.get(key, {}), item, manager, sub)
            return self._store(key, item)

    def apply(self, item: Object, manager: str) -> Object:
        """Set an object by server-side apply, as `kubectl apply --server-side` would."""
        query = {"fieldManager": manager}
        with self.changed:
            return self._apply(Request("PATCH", "", query, "application/apply-patch+yaml", item), self.key(item))

    def key(self, item: Object) -> Key:
        """Where an object is kept."""
        plural = next(plural for kind, plural, _ in self.served[item["apiVersion"]] if kind == item["kind"])
        group = item["apiVersion"].rpartition("/")[0]
        return group, plural, item["metadata"].get("namespace", ""), item["metadata"]["name"]

    def find(self, plural: str, name: str) -> Object | None:
        """An object by its plural kind and name, in any namespace."""
        return next((item for key, item in self.objects.items() if (key[1], key[3]) == (plural, name)), None)

    def answer(self, request: Request) -> Object | str:
        """What a request that is not a stream gets. Raises Refused."""
        self.requests.append(request)
        for place, (method, pattern, refusal) in enumerate(self.scripted):
            if method == request.method and re.search(pattern, request.path):
                del self.scripted[place]
                raise refusal
        found = discovery.answer(self.served, self.git_version, request)
        if found is not None:
            return found
        return self._object(request, *locate(request.path))

    def _object(self, request: Request, key: Key, api_version: str, sub: str) -> Object | str:
        group, plural, namespace, name = key
        verb = {"PATCH": "patch", "POST": "create", "PUT": "update", "DELETE": "delete"}.get(request.method, "")
        verb = verb or ("get" if name else "list")
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
            if request.method == "POST":
                return self._create(request, key)
            if request.method == "PATCH" and request.content == "application/apply-patch+yaml":
                return self._apply(request, key)
            if not name:
                found = self._matching(key, request.query.get("labelSelector", ""))
                return {"kind": f"{self.kind(key)}List", "apiVersion": api_version, "items": found,
                        "metadata": {"resourceVersion": str(self.version)}}  # fmt: skip
            if key not in self.objects:
                raise Refused(404, "NotFound", f'{plural} "{name}" not found', {"name": name, "kind": plural})
            if request.method in ("PATCH", "PUT"):
                return self._change(request, key)
            if request.method == "DELETE" and "dryRun" not in request.query:
                self.remove(key)
                return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
            return self.objects[key]

    def kind(self, key: Key) -> str:
        """The kind that is kept under a key."""
        kinds = [entry for version, entries in self.served.items() if version.rpartition("/")[0] == key[0]
                 for entry in entries]  # fmt: skip
        return next(kind for kind, plural, _ in kinds if plural == key[1])

    def _create(self, request: Request, key: Key) -> Object:
        item = request.body
        key = (*key[:3], item["metadata"]["name"])
        item["metadata"].update({"namespace": key[2]} if key[2] else {})
        self._admit(item, key)
        if key in self.objects:
            raise Refused(409, "AlreadyExists", f'{key[1]} "{key[3]}" already exists', {"name": key[3]})
        return item if "dryRun" in request.query else self.put(item, request.agent)

    def _admit(self, item: Object, key: Key) -> None:
        space = self.objects.get(("", "namespaces", "", key[2]))
        if key[2] and space is None:
            raise Refused(404, "NotFound", f'namespaces "{key[2]}" not found', {"name": key[2], "kind": "namespaces"})
        if space and space["metadata"].get("deletionTimestamp") and key not in self.objects:
            message = f"unable to create new content in namespace {key[2]} because it is being terminated"
            raise Refused(403, "Forbidden", f'{key[1]} "{key[3]}" is forbidden: {message}')
        for rule in self.admission:
            rule(self, item)

    def _change(self, request: Request, key: Key) -> Object:
        """PUT, or a merge patch. A `null` in a patch takes the field away; `managedFields` may be set."""
        before = copy.deepcopy(self.objects[key])
        body = request.body if isinstance(request.body, dict) else fields.merge_patch(request.body)
        asked = body.get("metadata", {}).get("resourceVersion")
        if asked and asked != before["metadata"]["resourceVersion"]:
            raise Refused(409, "Conflict", f'{key[1]} "{key[3]}": the object has been modified')
        item = body if request.method == "PUT" else fields.patched(before, body)
        item = {"apiVersion": before["apiVersion"], "kind": before["kind"], **item}
        entries = item["metadata"].pop("managedFields", [])
        named = body.get("metadata", {})
        item["metadata"] = {**before["metadata"], **item["metadata"]} if request.method == "PUT" else item["metadata"]
        stored = self.put(item, request.query.get("fieldManager", request.agent))
        if "managedFields" in named:
            self.owners[key] = fields.read(entries)
            stored["metadata"]["managedFields"] = entries
        return stored

    def _apply(self, request: Request, key: Key) -> Object:
        live = copy.deepcopy(self.objects.get(key, {}))
        self._admit(request.body, key)
        owners = copy.deepcopy(self.owners.get(key, {}))
        manager, force = request.query["fieldManager"], request.query.get("force") == "true"
        merged, causes = fields.apply(owners, live, request.body, manager, force=force)
        if causes:
            what = f"{len(causes)} conflict{'s' * (len(causes) > 1)}"
            message = f"Apply failed with {what}: {causes[0]['message']}: {causes[0]['field']}"
            raise Refused(409, "Conflict", message, {"name": key[3], "causes": causes})
        if "dryRun" in request.query:
            return fields.stored(merged)
        self.owners[key] = owners
        stored = self._store(key, fields.stored(merged), written=merged)
        for controller in self.controllers:
            controller(self, stored)
        return self.objects[key]

    def _store(self, key: Key, item: Object, written: Object | None = None) -> Object:
        self.version += 1
        before = self.objects.get(key)
        metadata = item["metadata"]
        metadata.setdefault("uid", f"uid-{self.version}")
        metadata.setdefault("creationTimestamp", datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"))
        metadata["resourceVersion"] = str(self.version)
        generation = before["metadata"].get("generation", 1) if before else 0
        spec = fields.stored(item).get("spec")
        if written and written["kind"] == "NetworkPolicy":
            spec = written["spec"]  # compared as it was sent: an empty list that is not kept counts as a change
        metadata["generation"] = generation + (before is None or before.get("spec") != spec)
        metadata["managedFields"] = fields.managed(self.owners[key], item["apiVersion"])
        self.objects[key] = copy.deepcopy(item)
        self.events.append((self.version, key[1], key[2], "MODIFIED" if before else "ADDED", self.objects[key]))
        self.changed.notify_all()
        return self.objects[key]

    def remove(self, key: Key) -> None:
        """Delete an object; mark it as going while it has finalizers, or for as long as its kind lingers."""
        with self.changed:
            metadata = self.objects[key]["metadata"]
            seconds = self.lingers.get(key[1], 0)
            if metadata.get("finalizers") or seconds:
                if "deletionTimestamp" not in metadata and seconds:
                    threading.Timer(seconds, self.vanish, [key]).start()
                metadata["deletionTimestamp"] = "2026-01-01T00:00:01Z"
                return
            self.vanish(key)

    def vanish(self, key: Key) -> None:
        """An object is gone."""
        with self.changed:
            item = self.objects.pop(key)
            self.owners.pop(key, None)
            self.version += 1
            item["metadata"]["resourceVersion"] = str(self.version)
            self.events.append((self.version, key[1], key[2], "DELETED", item))
            self.changed.notify_all()

    def _matching(self, key: Key, selector: str) -> list[Object]:
        return [
            item for (group, plural, namespace, _), item in sorted(self.objects.items())
            if (group, plural) == key[:2] and key[2] in {"", namespace} and fields.selects(selector, item)
        ]  # fmt: skip

    def follow(self, request: Request) -> Iterator[bytes]:
        """The lines of one watch, and how it ends."""
        key, query = locate(request.path)[0], request.query
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
                if fields.selects(query.get("labelSelector", ""), item):
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
