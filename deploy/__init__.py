"""What a platform engineer applies: the Helm chart, the KServe manifests, and the deployer.

May: render the chart (deploy.render, the one importer of `helm_python`), talk to a cluster (deploy.cluster, the one
importer of `kubernetes`), and use `bento.errors`, so that every command of the project fails in the same voice.
May not: import bento's runtime, torch or transformers.

The way of `apply`:
    render.render -> manifests.check -> preflight.examine -> apply.rehearse (the server's dry run) -> revisions.begin
    -> apply.apply -> apply.prune -> waiting.wait (rollout.judge: going on, done, or failed) -> revisions.end
"""
