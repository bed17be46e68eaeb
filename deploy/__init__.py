"""What a platform engineer applies: the Helm chart, the KServe manifests, and the deployer.

May: render manifests from values, and talk to a cluster in one module of its own, the one importer of `kubernetes`.
May not: import bento's runtime, torch or transformers.
"""
