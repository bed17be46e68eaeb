"""Installs wordtell in a cluster: the Helm chart, KServe's manifests, and the deployer.

May: use Helm's engine (only deploy.engine imports `helm_python`), talk to a cluster (only deploy.cluster imports
`kubernetes`), and use `bento.errors`, so that all commands of the project fail in the same way.
May not: import bento's runtime, torch or transformers.

The steps of `apply`, of which only `engine` is Helm's:
    render.render -> preflight.findings -> release.rehearse (the server's dry run) -> engine.deploy -> waiting.wait
    (rollout.judge: in progress, done, or failed); a failure leads to engine.rollback
"""
