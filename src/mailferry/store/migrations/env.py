"""Alembic's entry: it runs on the connection that it is given (see ``migrate``)."""

from alembic import context

from mailferry.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the caller's transaction holds all steps
)
context.run_migrations()
