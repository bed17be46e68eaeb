"""The command: `python -m deploy`, also installed as `wordtell-deploy`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from bento.errors import WordtellError
from deploy import apply as applying
from deploy import manifests, preflight, release, render, revisions, rollout, smoke, view, waiting
from deploy.errors import NotReady, SmokeFailed
from deploy.release import Manner, Target
from deploy.types import Finding, Object, Reference, Release

app = typer.Typer(
    help="Render, check, apply and watch wordtell on a Kubernetes cluster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Form = Annotated[
    Literal["plain", "helm", "kserve"], typer.Argument(help="plain objects, Helm's own output, or KServe's.")
]
Applied = Annotated[Literal["plain", "kserve"], typer.Argument(help="A Deployment and friends, or KServe's objects.")]
Files = Annotated[list[Path] | None, typer.Option("-f", "--values", help="A values file; a later one goes before.")]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One value, as Helm reads it.")]
Name = Annotated[str, typer.Option(help="The release: the prefix of all names.")]
Space = Annotated[str | None, typer.Option("--namespace", "-n", help="If you leave it out: the context's.")]
Chart = Annotated[Path, typer.Option(help="The chart's folder.")]
Kubeconfig = Annotated[
    Path | None, typer.Option(help="If you leave it out: KUBECONFIG, ~/.kube/config, or in-cluster.")
]
Context = Annotated[str | None, typer.Option(help="The kubeconfig's context. If you leave it out: the current one.")]
Timeout = Annotated[float, typer.Option(min=1, help="Seconds to wait until ready.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NAME, TIMEOUT_S = "wordtell", 600.0


@app.command("render")
def render_(  # noqa: PLR0913, PLR0917  # one parameter an option
    form: Form = "plain", values: Files = None, sets: Sets = None, name: Name = NAME, namespace: Space = None,
    chart: Chart = render.CHART,
) -> None:  # fmt: skip
    """Print the manifests as YAML; no cluster is asked. Without --namespace they are for `default`."""
    order = render.Order(Release(name, namespace or "default"), form, chart, values or (), sets or ())
    print(render.render(order).text, end="")


@app.command("preflight")
def preflight_(  # noqa: PLR0913, PLR0917
    form: Applied = "plain", values: Files = None, sets: Sets = None, name: Name = NAME, namespace: Space = None,
    chart: Chart = render.CHART, kubeconfig: Kubeconfig = None, context: Context = None,
    create_namespace: Annotated[bool, typer.Option("--create-namespace", help="It need not be there yet.")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Check whether the cluster can take what `apply` would apply; nothing is changed. Exit code 1 if a check fails."""
    target = _target(name, namespace, kubeconfig, context)
    order = render.Order(target.release, form, chart, values or (), sets or ())
    _, found = _examine(target, order, creates_namespace=create_namespace)
    if as_json:
        print(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        _console().print(view.findings(found))
    if preflight.failures(found):
        raise typer.Exit(1)


@app.command("apply")
def apply_(  # noqa: PLR0913, PLR0917
    form: Applied = "plain", values: Files = None, sets: Sets = None, name: Name = NAME, namespace: Space = None,
    chart: Chart = render.CHART, kubeconfig: Kubeconfig = None, context: Context = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="The server checks everything and keeps nothing.")] = False,
    force: Annotated[bool, typer.Option("--force-conflicts", help="Take fields over from other managers.")] = False,
    create_namespace: Annotated[bool, typer.Option("--create-namespace", help="Make it if it is not there.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until the pods are ready.")] = True,
    timeout: Timeout = TIMEOUT_S,
) -> None:  # fmt: skip
    """Check, apply server-side in dependency order, remove what is gone from the chart, and wait until ready."""
    target = _target(name, namespace, kubeconfig, context)
    order = render.Order(target.release, form, chart, values or (), sets or ())
    objects, found = _examine(target, order, creates_namespace=create_namespace)
    if failures := preflight.failures(found):
        raise NotReady(failures)
    space = Reference("v1", "Namespace", "", target.release.namespace)
    if create_namespace and target.cluster.get(space) is None:
        if dry_run:
            applying.rehearse(target.cluster, [applying.namespace(target.release)], _say)
            print("the rest cannot be tried before the namespace is there")
            return
        applying.apply(target.cluster, [applying.namespace(target.release)], _say)
    _roll_out(target, objects, Manner(timeout if wait else 0, force, dry_run))


@app.command()
def status(
    name: Name = NAME,
    namespace: Space = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """Print what is deployed: revision, image, replicas, pods, scalers, address."""
    target = _target(name, namespace, kubeconfig, context)
    past = release.history(target)
    found = release.standing(target, past)
    if as_json:
        workloads = [
            {"name": str(manifests.reference(seen.workload)), "verdict": asdict(verdict),
             "pods": [asdict(line) for line in rollout.lines(seen)]}
            for seen, verdict in found.workloads
        ]  # fmt: skip
        extras = {str(manifests.reference(item)): view.describe(item) for item in found.extras}
        history = [{"revision": r.number, "state": r.state, "when": r.when, "note": r.note} for r in past]
        print(json.dumps({"history": history, "workloads": workloads, "others": extras}, indent=2))
    else:
        _console().print(found.table())


@app.command("smoke")
def smoke_(  # noqa: PLR0913, PLR0917
    name: Name = NAME, namespace: Space = None, kubeconfig: Kubeconfig = None, context: Context = None,
    url: Annotated[str | None, typer.Option(help="Ask here, an ingress say. If you leave it out: a ready pod.")] = None,
    key: Annotated[str | None, typer.Option("--api-key", envvar="DEPLOY_API_KEY", help="If the service asks.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for the answer.")] = 30.0,
) -> None:  # fmt: skip
    """Score one text and check the answer."""
    if url:
        where, connect = url, smoke.at(url, timeout)
    else:
        target = _target(name, namespace, kubeconfig, context)
        observed = [seen for seen, _ in release.standing(target, release.history(target)).workloads]
        ready = [(line.name, seen) for seen in observed for line in rollout.lines(seen) if line.ready]
        if not ready:
            raise SmokeFailed(f"no pod of {target.release.name} is ready; `status` says why")
        pod, seen = ready[0]
        where = f"Pod/{pod}"
        connect = smoke.through(target.cluster.forward(target.release.namespace, pod, rollout.port(seen, pod)), timeout)
    answer = smoke.score(connect, below=smoke.prefix(url), key=key)
    print(
        f"{where} answered in {answer.seconds * 1000:.0f} ms ({answer.processing_ms:.0f} ms of it scoring):"
        f" {answer.words} words, mean probability {answer.mean:.2f},"
        f" {answer.model_version} ({answer.engine}, {answer.precision})"
    )


@app.command()
def rollback(  # noqa: PLR0913, PLR0917
    revision: Annotated[int | None, typer.Argument(help="If you leave it out: the last deployed before this.")] = None,
    name: Name = NAME, namespace: Space = None, kubeconfig: Kubeconfig = None, context: Context = None,
    force: Annotated[bool, typer.Option("--force-conflicts", help="Take fields over from other managers.")] = False,
    timeout: Timeout = TIMEOUT_S,
) -> None:  # fmt: skip
    """Apply an earlier revision again, as a new one, ConfigMaps and all, and wait until ready."""
    target = _target(name, namespace, kubeconfig, context)
    chosen = revisions.choose(revisions.history(target.cluster, target.release), target.release, revision)
    note = f"rollback to {chosen.number}"
    _roll_out(target, chosen.objects, Manner(timeout, force, note=note))


@app.command()
def delete(  # noqa: PLR0913, PLR0917
    name: Name = NAME, namespace: Space = None, kubeconfig: Kubeconfig = None, context: Context = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    pvc: Annotated[bool, typer.Option("--pvc", help="Delete PersistentVolumeClaims, and their data, too.")] = False,
    timeout: Timeout = 120.0,
) -> None:  # fmt: skip
    """Delete everything that was applied and is still ours, the last applied first. Data and the namespace stay."""
    target = _target(name, namespace, kubeconfig, context)
    past = release.history(target)
    kept = applying.KEPT[1:] if pvc else applying.KEPT
    doomed = [one for one in reversed(revisions.inventory(past)) if one.kind not in kept]
    if not yes:
        names = ", ".join(map(str, doomed))
        typer.confirm(
            f"delete {names} in {target.release.namespace} of {target.cluster.address}?", abort=True, err=True
        )
    gone = [one for one in doomed if applying.delete(target.cluster, target.release, one)]
    for reference in waiting.vanished(target.cluster, gone, timeout):
        _say(reference, "deleted")
    for reference in revisions.inventory(past):
        if reference.kind in kept:
            _say(reference, "kept")
        elif reference not in gone and applying.remains(target.cluster, reference):
            _say(reference, "left: it is not ours any more")
    for one in past:
        revisions.forget(target.cluster, target.release, one)


def main() -> None:
    """Run the command; what goes wrong is one line on standard error, and the exit code 1."""
    try:
        app(prog_name="wordtell-deploy")
    except WordtellError as error:
        raise SystemExit(f"wordtell-deploy: {error.message}") from None


def _target(name: str, namespace: str | None, kubeconfig: Path | None, context: str | None) -> Target:
    from deploy import cluster  # noqa: PLC0415  # half a second, which `render` and --help need not wait

    found = cluster.connect(kubeconfig, context)
    return Target(found, Release(name, namespace or found.namespace))


def _examine(target: Target, order: render.Order, *, creates_namespace: bool) -> tuple[list[Object], list[Finding]]:
    """What is to be applied, and what the preflight finds of it."""
    rendered = render.render(order)
    objects, minimum = rendered.objects, rendered.minimum
    found = preflight.examine(target.cluster, target.release, objects, minimum, creates_namespace=creates_namespace)
    return objects, found


def _roll_out(target: Target, objects: Sequence[Object], how: Manner) -> None:
    with view.RolloutView(_console(stderr=True)) as live:
        done = release.roll_out(target, objects, how, _say, live.show)
    print(done)


def _say(reference: Reference, what: str) -> None:
    print(f"{reference} {what}")


def _console(*, stderr: bool = False) -> Console:
    return Console(stderr=stderr, highlight=False, soft_wrap=False)
