"""Alembic's entry: it runs the migrations on the connection that bento.jobs.database gives."""

from __future__ import annotations

from alembic import context

from bento.jobs.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
