"""Durable jobs: texts that are stored in a database and scored in the background by any server of that database.

May: read and write the jobs' database, score texts in the background.
May not: know of HTTP, or write a text into the log.
docs/jobs.md lists the guarantees; each has a test of the same name.
"""
