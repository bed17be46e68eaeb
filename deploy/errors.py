"""Everything that can go wrong in a deployment. Each is one line on standard error, and the exit code 1.

DeployError
├── RenderError      the chart, a values file or a value is not usable; found before a cluster is asked
├── ClusterError     what the API server says, or that it says nothing
│   ├── Unconfigured   no kubeconfig, or no such context
│   ├── Unreachable    refused, timed out, or not trusted (TLS)
│   ├── Forbidden      403: who may not do what
│   ├── Conflict       409: another field manager owns what we set
│   ├── Busy           429 or 503, and it stayed so
│   └── UnknownKind    the cluster does not serve this kind in this version
├── NotReady         a check of the preflight failed; nothing was changed
├── ApplyStopped     some objects are applied and others not: it says which
├── RolloutFailed    the objects are applied, the pods do not become ready
├── SmokeFailed      the service does not answer as the contract says
└── NoRevision       there is no such deployment or revision
"""

from __future__ import annotations

from collections.abc import Sequence

from bento.errors import WordtellError
from deploy.types import Reference, Release


class DeployError(WordtellError):
    """Root of this tree."""

    code = "deploy"


class RenderError(DeployError, ValueError):
    """The chart or its values cannot be used. The message names the value and the remedy."""


class ClusterError(DeployError, OSError):
    """The API server refused. `status` is the HTTP status, 0 if there was no answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.http = status


class Unconfigured(ClusterError):
    """Nobody said which cluster."""


class Unreachable(ClusterError):
    """No answer from the API server."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"{address} cannot be reached: {reason}")


class Forbidden(ClusterError):
    """The user may not do this; or, with the same status, an admission plugin refuses it."""

    def __init__(self, verb: str, resource: str, message: str) -> None:
        remedy = f"grant the verb {verb!r} on {resource!r} (docs/deployer.md lists the role that the deployer needs)"
        if "exceeded quota" in message:
            remedy = "raise the ResourceQuota, or lower the replicas or requests"
        elif "cannot" not in message:
            remedy = "an admission rule of the cluster refuses the object as it is"
        super().__init__(f"{message}; {remedy}", 403)
        self.verb, self.resource = verb, resource


class Conflict(ClusterError):
    """Fields that we set belong to another field manager."""

    def __init__(self, message: str, managers: Sequence[str], fields: Sequence[str]) -> None:
        if managers:
            who, what = ", ".join(dict.fromkeys(managers)), ", ".join(dict.fromkeys(fields))
            message = f"{who} owns {what}; --force-conflicts takes them over"
        super().__init__(message, 409)
        self.managers, self.fields = tuple(managers), tuple(fields)


class Busy(ClusterError):
    """The API server asked to come back later, more often than we are willing to."""

    def __init__(self, status: int, tries: int, message: str) -> None:
        super().__init__(f"the API server is overloaded ({status} {tries} times: {message}); try again later", status)


class UnknownKind(ClusterError):
    """A custom resource definition is missing, or too old or too new."""

    def __init__(self, api_version: str, kind: str, served: Sequence[str]) -> None:
        have = f"it serves only {', '.join(served)}" if served else "its definition is not installed"
        super().__init__(f"the cluster does not serve {kind} in {api_version}: {have}", 404)


class NotReady(DeployError, RuntimeError):
    """The cluster cannot take what would be applied."""

    def __init__(self, failures: Sequence[str]) -> None:
        super().__init__(f"nothing was changed: {'; '.join(failures)}")


class ApplyStopped(DeployError, RuntimeError):
    """An apply ended half way."""

    def __init__(self, applied: Sequence[Reference], rest: Sequence[Reference], cause: WordtellError) -> None:
        done = f"applied: {_names(applied)}" if applied else "nothing was applied"
        super().__init__(f"{rest[0]}: {cause.message} [{done}; not applied: {_names(rest)}]")
        self.applied, self.rest = tuple(applied), tuple(rest)


class RolloutFailed(DeployError, RuntimeError):
    """What was applied does not become ready. The message is the pod's own."""


class SmokeFailed(DeployError, AssertionError):
    """The service's answer is not what the contract says."""


class NoRevision(DeployError, LookupError):
    """Nothing is deployed under this name, or not this revision."""

    def __init__(self, release: Release, revision: int | None = None, known: Sequence[int] = ()) -> None:
        if known:
            what = f"there is no revision {revision}" if revision else "there is no earlier revision that was deployed"
            message = f"{what} of {release.name}: there are {', '.join(map(str, known))}"
        else:
            message = (
                f"nothing is deployed as {release.name} in the namespace {release.namespace}; see --name, --namespace"
            )
        super().__init__(message)


def _names(references: Sequence[Reference]) -> str:
    return ", ".join(map(str, references))
