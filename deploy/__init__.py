"""What a platform engineer applies: the Helm chart, the KServe manifests, and the deployer.

May: be Helm (deploy.engine, the one importer of `helm_python`), talk to a cluster (deploy.cluster, the one importer of
`kubernetes`), and use `bento.errors`, so that every command of the project fails in the same voice.
May not: import bento's runtime, torch or transformers.

The way of `apply`, of which only `engine` is Helm's, and the rest what Helm lacks:
    render.render -> preflight.examine -> release.rehearse (the server's dry run) -> engine.deploy -> waiting.wait
    (rollout.judge: going on, done, or failed); what fails goes through engine.rollback
"""
