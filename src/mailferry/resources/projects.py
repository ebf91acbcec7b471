"""Projects: what an account's sandbox inboxes are grouped in."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from mailferry.resources import accesses, share_links
from mailferry.resources.permissions import Resource
from mailferry.store.schema import projects

#: Of the name, in characters (Mailtrap's documentation).
LEAST_NAME, MOST_NAME = 2, 100


@dataclass(frozen=True, slots=True)
class Project:
    id: int
    account_id: int
    name: str


def create(connection: Connection, account_id: int, name: str, now: int) -> Project:
    values = {"account_id": account_id, "name": name, "created_at": now}
    made = connection.execute(insert(projects).values(values).returning(projects.c.id)).scalar_one()
    return Project(int(made), account_id, name)


def of_account(connection: Connection, account_id: int, ids: Collection[int] | None = None) -> list[Project]:
    """In the order of their ids; ``ids``: of these at most."""
    asked = select(projects.c.id, projects.c.name).where(projects.c.account_id == account_id).order_by(projects.c.id)
    found = connection.execute(asked if ids is None else asked.where(projects.c.id.in_(ids)))
    return [Project(row.id, account_id, row.name) for row in found]


def by_id(connection: Connection, account_id: int, project_id: int) -> Project | None:
    return next(iter(of_account(connection, account_id, (project_id,))), None)


def lock(connection: Connection, project_id: int) -> bool:
    """No inbox is made in it before the transaction ends. False: there is no such project."""
    found = select(projects.c.id).where(projects.c.id == project_id).with_for_update()
    return connection.execute(found).first() is not None


def rename(connection: Connection, project_id: int, name: str) -> None:
    connection.execute(update(projects).where(projects.c.id == project_id).values(name=name))


def remove(connection: Connection, project_id: int) -> None:
    """Its inboxes are removed before."""
    connection.execute(delete(projects).where(projects.c.id == project_id))
    accesses.forget_resource(connection, Resource.PROJECT, project_id)
    share_links.forget_resource(connection, Resource.PROJECT, project_id)
