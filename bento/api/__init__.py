"""HTTP: requests and responses, their limits, and one small file for each group of routes.

May: read a body, check it, ask the detector, answer. May not: know how a text is scored.
"""
