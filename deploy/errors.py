"""The errors of a deployment. Each is one line on standard error, and exit code 1."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from bento.errors import WordtellError
from deploy.types import Release


class DeployError(WordtellError):
    """Root of this tree."""

    code = "deploy"


class RenderError(DeployError, ValueError):
    """The chart or its values cannot be used; found before a cluster is contacted."""


class ClusterError(DeployError, OSError):
    """The API server refused, with the HTTP status `http`; without one, there is no usable kubeconfig."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.http = status

    @property
    def final(self) -> bool:
        """Whether asking again cannot help: the server is there, is not overloaded, and refuses."""
        return 400 <= self.http < 500 and self.http != 429


class Unreachable(ClusterError):
    """No answer from the API server; the message is the innermost reason."""

    def __init__(self, address: str, error: BaseException) -> None:
        text = " ".join(str(getattr(error, "reason", None) or error).split()).rpartition(">: ")[2]
        if "CERTIFICATE_VERIFY_FAILED" in text or "SSL" in text:
            text = f"its certificate is not trusted ({text}); check certificate-authority-data in the kubeconfig"
        elif "timed out" in text or isinstance(error, TimeoutError):
            text = f"it does not answer in time; check the address, a firewall or VPN ({text})"
        super().__init__(f"{address} cannot be reached: {text}")


class Forbidden(ClusterError):
    """The user may not do this; or, with the same status, an admission plugin refuses it."""

    def __init__(self, message: str) -> None:
        remedy = "an admission rule of the cluster refuses the object as it is"
        if verb := re.search(r'cannot (\w+) resource "([^"]+)"(?: in API group "([^"]*)")?', message):
            resource = ".".join(part for part in (verb[2], verb[3]) if part)
            remedy = f"grant the verb {verb[1]!r} on {resource!r} (docs/deployer.md lists the role)"
        elif "exceeded quota" in message:
            remedy = "raise the ResourceQuota, or lower the replicas or requests"
        super().__init__(f"{message}; {remedy}", 403)


class Conflict(ClusterError):
    """Fields that we set belong to another field manager."""

    def __init__(self, message: str, causes: Sequence[dict[str, str]]) -> None:
        if causes:
            managers = [re.sub(r'conflict with "([^"]*)".*', r"\1", cause["message"]) for cause in causes]
            who, what = (", ".join(dict.fromkeys(part)) for part in (managers, [cause["field"] for cause in causes]))
            message = f"{who} owns {what}; --force-conflicts takes them over"
        super().__init__(message, 409)


class NotReady(DeployError, RuntimeError):
    """The cluster cannot take what would be applied."""

    def __init__(self, failures: Sequence[str]) -> None:
        super().__init__(f"nothing was changed: {'; '.join(failures)}")


class ReleaseFailed(DeployError, RuntimeError):
    """Helm's own message or the pod's, and what was done about it."""


class SmokeFailed(DeployError, AssertionError):
    """The service's answer is not what the contract says."""


class NoRevision(DeployError, LookupError):
    """Nothing is deployed under this name, or not this revision."""

    def __init__(self, release: Release, revision: int | None = None, known: Sequence[int] = ()) -> None:
        message = f"nothing is deployed as {release.name} in the namespace {release.namespace}; see --name, --namespace"
        if known:
            what = f"there is no revision {revision}" if revision else "there is no earlier revision that was deployed"
            message = f"{what} of {release.name}: there are {', '.join(map(str, known))}"
        super().__init__(message)


def refusal(status: int, text: bytes, tries: int) -> ClusterError:
    """What a `Status` object says, as an error of ours. `tries`: how often the request was sent.          (pure)"""
    try:
        said = json.loads(text)
        message, details = str(said["message"]), said.get("details") or {}
    except (ValueError, KeyError, TypeError):
        message, details = text.decode("utf-8", "replace").strip()[:200] or f"HTTP {status}", {}
    if status == 403:
        return Forbidden(message)
    if status == 409:
        return Conflict(message, [c for c in details.get("causes") or [] if c.get("reason") == "FieldManagerConflict"])
    if status == 401:
        message = f"the cluster does not know you (401 {message}); renew the kubeconfig's credentials"
    if status in (429, 503):
        message = f"the API server is overloaded ({status} {tries} times: {message}); try again later"
    return ClusterError(message, status)
