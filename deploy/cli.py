"""The command: `python -m deploy`, also installed as `wordtell-deploy`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from argparse import Namespace as Given
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bento.errors import WordtellError
from deploy import engine, release, render, smoke, view
from deploy.errors import NotReady, SmokeFailed
from deploy.preflight import Preflight, failures
from deploy.release import Target
from deploy.render import Rendered
from deploy.types import Release


def _render(given: Given) -> None:
    print(_rendered(given, Release(given.name, given.namespace or "default")).text, end="")


def _preflight(given: Given) -> int:
    target = _target(given)
    one = target.engine.release
    found = Preflight(target.cluster, one, _rendered(given, one), given.create_namespace).findings(given.ignore)
    _print(given, found, {"": "status", "check": "check", "finding": "message", "remedy": "remedy"})
    return 1 if failures(found) else 0


def _apply(given: Given) -> None:
    target = _target(given)
    one = target.engine.release
    rendered = _rendered(given, one)
    found = Preflight(target.cluster, one, rendered, given.create_namespace).findings(given.ignore)
    if failed := failures(found):
        raise NotReady(failed)
    for finding in found:
        if finding.status == "warn":
            print(f"warning: {finding.message} ({finding.remedy})", file=sys.stderr)
    new = any(finding.message == f"Namespace/{one.namespace} will be created" for finding in found)
    if given.dry_run:
        said = "the objects cannot be tried before the namespace is there"
        if not new:
            release.rehearse(target, rendered.objects, force=given.force_conflicts)
            said = "the cluster would take all of it"
        print(f"{given.name}: {said}; nothing was changed")
        return
    if new:
        metadata = {"name": one.namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
        target.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        print(f"Namespace/{one.namespace} created")
    print(release.apply(target, rendered, force=given.force_conflicts, wait=given.wait))


def _history(given: Given) -> None:
    columns = {"revision": "number", "state": "state", "when": "when", "chart": "chart"}
    _print(given, _target(given).engine.past(), columns)


def _status(given: Given) -> int:
    target = _target(given)
    found = view.standing(target.cluster, target.engine)
    print(json.dumps(found, indent=2) if given.json else view.page(found))
    return 0 if found["healthy"] else 1


def _smoke(given: Given) -> None:
    if given.url:
        print(given.url, smoke.score(given.url, given.timeout, key=given.api_key))
        return
    target = _target(given)
    workloads = view.standing(target.cluster, target.engine)["workloads"]
    for pod in (pod for workload in workloads for pod in workload["pods"] if pod["ready"]):
        sock = target.cluster.forward(target.engine.release.namespace, pod["name"], pod["port"])
        print(f"Pod/{pod['name']}", smoke.score("http://localhost", given.timeout, sock=sock, key=given.api_key))
        return
    raise SmokeFailed(f"no pod of {given.name} is ready; `status` says why")


def _rollback(given: Given) -> None:
    print(release.rollback(_target(given), given.revision))


def _delete(given: Given) -> None:
    target = _target(given)
    names = ", ".join(map(str, release.inventory(target)))
    where = f"in {target.engine.release.namespace} of {target.cluster.address}"
    if not given.yes:
        print(f"delete {names} {where}? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise SystemExit("nothing was deleted")
    release.delete(target)
    print(f"{given.name} deleted: {names}")


def _rendered(given: Given, one: Release) -> Rendered:
    return render.render(render.Order(one, given.form, given.chart, given.values, given.set, given.set_string))


def _target(given: Given) -> Target:
    from deploy import cluster  # noqa: PLC0415  # half a second, which `render` and --help need not wait

    found = cluster.connect(given.kubeconfig, given.context)
    one = Release(given.name, given.namespace or found.namespace)
    # Several files are KUBECONFIG's, which Helm reads by itself.
    file = None if os.pathsep in (found.kubeconfig or os.pathsep) else found.kubeconfig
    return Target(found, engine.Engine(one, file, given.context), getattr(given, "timeout", 60.0))


def _print(given: Given, found: Sequence[Any], columns: Mapping[str, str]) -> None:
    print(json.dumps([asdict(one) for one in found], indent=2) if given.json else view.listed(found, columns))


def _parser() -> argparse.ArgumentParser:
    """All commands; options that several share are defined once."""
    place, order, checked, waits, out = (argparse.ArgumentParser(add_help=False, allow_abbrev=False) for _ in range(5))
    place.add_argument("--name", default="wordtell", help="the release: the prefix of all names")
    place.add_argument("-n", "--namespace", help="if you leave it out: the context's")
    place.add_argument("--kubeconfig", type=Path, help="if you leave it out: KUBECONFIG, ~/.kube/config, or in-cluster")
    place.add_argument("--context", help="the kubeconfig's context; if you leave it out: the current one")
    order.add_argument("-f", "--values", type=Path, action="append", default=[], help="a values file")
    order.add_argument("--set", action="append", default=[], metavar="K=V", help="a value; Helm finds its type")
    order.add_argument("--set-string", action="append", default=[], metavar="K=V", help="a value that is text")
    order.add_argument("--chart", type=Path, default=render.CHART, help="the chart's folder")
    checked.add_argument("form", nargs="?", default="plain", choices=["plain", "kserve"])
    checked.add_argument("--create-namespace", action="store_true", help="make it if it is not there")
    ignored = "its failure is a warning: nodes"
    checked.add_argument("--ignore", action="append", default=[], metavar="CHECK", help=ignored)
    waits.add_argument("--timeout", type=seconds, default=600.0, help="seconds until it has to be done")
    out.add_argument("--json", action="store_true", help="print JSON")

    parser = argparse.ArgumentParser("wordtell-deploy", description="Check, apply and watch wordtell on Kubernetes.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=text, description=text, parents=[place, *parents], allow_abbrev=False)
        found.set_defaults(run=run)
        return found

    found = command("render", _render, "Print the manifests as YAML; no cluster is asked.", order)
    found.add_argument("form", nargs="?", default="plain", choices=["plain", "helm", "kserve"])
    text = "Check whether the cluster can take what `apply` would apply; change nothing."
    command("preflight", _preflight, text, order, checked, out)
    text = "Check, install or upgrade, wait until ready; roll back what fails."
    found = command("apply", _apply, text, order, checked, waits)
    found.add_argument("--dry-run", action="store_true", help="the server checks everything and keeps nothing")
    found.add_argument("--force-conflicts", action="store_true", help="take fields over from other managers")
    found.add_argument("--no-wait", dest="wait", action="store_false", help="do not wait until the pods are ready")
    command("history", _history, "Print the revisions that Helm keeps.", out)
    command("status", _status, "Print what is deployed; exit code 1 unless it is complete and ready.", out)
    found = command("smoke", _smoke, "Score one text and check the answer.")
    found.add_argument("--url", help="ask here, an ingress say; if you leave it out: a ready pod")
    found.add_argument("--api-key", default=os.environ.get("DEPLOY_API_KEY"), help="if the service asks for one")
    found.add_argument("--timeout", type=seconds, default=30.0, help="seconds to wait for the answer")
    found = command("rollback", _rollback, "Go back to an earlier revision, and wait until ready.", waits)
    found.add_argument("revision", nargs="?", type=int, help="if you leave it out: the last good one before this")
    found = command("delete", _delete, "Delete everything of the release. The namespace stays.", waits)
    found.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def main() -> None:
    """Run the command under Helm's name (see engine.be_helm)."""
    engine.be_helm()
    run()


def run() -> None:
    """Run the command; what goes wrong is one line on standard error, and the exit code 1."""
    given = _parser().parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, _interrupt)
    try:
        code = given.run(given)
    except WordtellError as error:
        raise SystemExit(f"wordtell-deploy: {error.message}") from None
    except KeyboardInterrupt:
        raise SystemExit("wordtell-deploy: interrupted; `status` says how things are") from None
    raise SystemExit(code or 0)


def _interrupt(number: int, _frame: object) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def seconds(text: str) -> float:
    """A time that a command may take."""
    if float(text) < 1:
        raise argparse.ArgumentTypeError("give 1 second or more")
    return float(text)
