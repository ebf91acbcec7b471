"""Brings a database to the schema of this version; the same steps run on SQLite and PostgreSQL.

Nodes are upgraded one by one, so a version first adds (expand) and a later one removes (contract).
"""

from sqlalchemy import Connection, inspect, text

#: The newest step. Compared first, because importing Alembic costs a second that a start does not always need.
HEAD = "0023"


class NewerDatabase(RuntimeError):
    """The database was written by a newer Mailferry than this one."""


def current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return version


def migrate(connection: Connection) -> None:
    """Run what is missing, in the connection's transaction. Raises :class:`NewerDatabase`."""
    if connection.dialect.name == "postgresql":
        # Two nodes that start together: the second waits and finds all done.
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('mailferry migrations'))"))
    found = current(connection)
    if found == HEAD:
        return
    if found is not None and found > HEAD:
        raise NewerDatabase(f"the database is at step {found}, this version knows {HEAD}: use the newer Mailferry")
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "mailferry.store:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
