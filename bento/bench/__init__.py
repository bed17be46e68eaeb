"""`wordtell bench`: what a model costs on this machine.

May: import what serves (`bento.detector`, engines, cpu), numpy and the standard library, so that it runs in the
serving image. May not: import `convert`, torch, or what only tests and benchmarks/ have.
"""
