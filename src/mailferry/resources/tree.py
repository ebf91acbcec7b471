"""The resources of an account as the tree on which rights are given (resources/permissions.py)."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, select

from mailferry.resources.permissions import Resource
from mailferry.store.schema import accounts, domains, inboxes, projects


@dataclass(frozen=True, slots=True)
class Node:
    kind: Resource
    id: int
    name: str
    below: tuple["Node", ...] = ()

    def walk(self) -> Iterator["Node"]:
        """Itself and everything below."""
        yield self
        for node in self.below:
            yield from node.walk()


def of_account(connection: Connection, account_id: int) -> Node:
    """Raises LookupError when there is no such account."""
    name = connection.execute(select(accounts.c.name).where(accounts.c.id == account_id)).scalar()
    if name is None:
        raise LookupError(f"no account {account_id}")
    below = (
        Node(Resource.BILLING, account_id, "Billing"),
        Node(Resource.TEMPLATES, account_id, "Email Templates"),
        Node(Resource.CAMPAIGNS, account_id, "Email Campaigns"),
        *_projects(connection, account_id),
        *_domains(connection, account_id),
    )
    return Node(Resource.ACCOUNT, account_id, name, below)


def _projects(connection: Connection, account_id: int) -> list[Node]:
    found: dict[int, list[Node]] = {}
    columns = (inboxes.c.project_id, inboxes.c.id, inboxes.c.name)
    for row in connection.execute(select(*columns).where(inboxes.c.account_id == account_id).order_by(inboxes.c.id)):
        found.setdefault(row.project_id, []).append(Node(Resource.INBOX, row.id, row.name))
    rows = connection.execute(
        select(projects.c.id, projects.c.name).where(projects.c.account_id == account_id).order_by(projects.c.id)
    )
    return [Node(Resource.PROJECT, row.id, row.name, tuple(found.get(row.id, ()))) for row in rows]


def _domains(connection: Connection, account_id: int) -> list[Node]:
    rows = connection.execute(
        select(domains.c.id, domains.c.name)
        .where(domains.c.account_id == account_id, domains.c.deleted_at == 0)
        .order_by(domains.c.id)
    )
    return [Node(Resource.DOMAIN, row.id, row.name) for row in rows]
