"""Durable jobs: texts that are kept in a database and scored in the background, by whichever server is there.

May: read and write the jobs' database, score texts in the background.
May not: know of HTTP, or write a text into the log.
docs/jobs.md has the promises; each has a test of the same name.
"""
