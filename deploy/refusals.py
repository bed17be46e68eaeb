"""What an API server answers when it refuses, or why it does not answer -> errors with a remedy.             (pure)"""

from __future__ import annotations

import json
import re

from deploy.errors import Busy, ClusterError, Conflict, Forbidden


def of(method: str, path: str, status: int, text: bytes, tries: int) -> ClusterError:
    """What a `Status` object says, as an error of ours. `tries`: how often the request was sent."""
    try:
        said = json.loads(text)
        message, details = str(said["message"]), said.get("details") or {}
    except (ValueError, KeyError, TypeError):
        message, details = text.decode("utf-8", "replace").strip()[:200] or f"HTTP {status}", {}
    if status in (429, 503):
        return Busy(status, tries, message)
    if status == 401:
        return ClusterError(
            f"the cluster does not know you (401 {message}); renew the kubeconfig's credentials", status
        )
    if status == 403:
        verbs = {"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete"}
        resource = ".".join(part for part in (details.get("kind", ""), details.get("group", "")) if part)
        named = re.search(r"cannot (\w+) resource", message)
        return Forbidden(named[1] if named else verbs[method], resource or path, message)
    if status == 409:
        causes = [cause for cause in details.get("causes") or [] if cause.get("reason") == "FieldManagerConflict"]
        managers = [cause["message"].removeprefix("conflict with ").split(" using ")[0].strip('"') for cause in causes]
        return Conflict(message, managers, [cause["field"] for cause in causes])
    return ClusterError(message, status)


def silence(error: BaseException) -> str:
    """Why there was no answer at all: the innermost reason, in one line."""
    text = " ".join(str(getattr(error, "reason", None) or error).split())
    if "CERTIFICATE_VERIFY_FAILED" in text or "SSL" in text:
        return f"its certificate is not trusted ({text}); check certificate-authority-data in the kubeconfig"
    if "timed out" in text or isinstance(error, TimeoutError):
        return f"it does not answer in time; check the address, a firewall or VPN ({text.rpartition('>: ')[2]})"
    return text.rpartition(">: ")[2]
