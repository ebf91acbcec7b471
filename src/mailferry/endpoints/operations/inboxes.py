"""Projects and inboxes of the sandbox for an operator: made, listed with their credentials, and what they caught."""

from typing import Any

from sqlalchemy import Connection

from mailferry.credentials import ACCOUNT
from mailferry.endpoints.operations.domains import known_account, one_or_all
from mailferry.endpoints.operations.reading import iso
from mailferry.endpoints.operations.tools import OPERATOR, Mistake, Tools, Verb, one_line
from mailferry.resources import accounts, audit, inboxes, projects
from mailferry.resources.inboxes import Inbox
from mailferry.resources.projects import LEAST_NAME, MOST_NAME, Project
from mailferry.sandbox import inbox as caught
from mailferry.sandbox.inbox import Caught


async def known_inbox(tools: Tools, inbox: int, account: int = 0) -> Inbox:
    """Ids are one row of numbers over all accounts, so the account need not be named."""

    def read(connection: Connection) -> Inbox | None:
        chosen = [account] if account else accounts.all_ids(connection)
        found = (inboxes.by_id(connection, tools.sealer, one, inbox) for one in chosen)
        return next((each for each in found if each), None)

    found = await tools.database.read(read)
    if found is None:
        where = f" of account {account}" if account else ""
        raise Mistake(f"there is no inbox {inbox}{where}; mailferry inboxes list shows them")
    return found


async def projects_list(tools: Tools, account: int = 0) -> list[dict[str, Any]]:
    """Account 0 is all of them."""
    await one_or_all(tools, account)

    def read(connection: Connection) -> list[dict[str, Any]]:
        return [
            _shown_project(each) | {"inboxes": inboxes.of_project(connection, each.id)}
            for account_id in ([account] if account else accounts.all_ids(connection))
            for each in projects.of_account(connection, account_id)
        ]

    return await tools.database.read(read)


async def projects_add(tools: Tools, name: str, account: int = ACCOUNT) -> dict[str, Any]:
    await known_account(tools, account)
    called, now = one_line(name, "a project's name"), tools.clock()
    if not LEAST_NAME <= len(called) <= MOST_NAME:
        raise Mistake(f"a project's name has {LEAST_NAME} to {MOST_NAME} characters")

    def write(connection: Connection) -> Project:
        made = projects.create(connection, account, called, now)
        audit.note(connection, account, OPERATOR, "project.created", ("project", made.id, called), now)
        return made

    return _shown_project(await tools.database.write(write)) | {"inboxes": []}


async def inboxes_list(tools: Tools, account: int = 0) -> list[dict[str, Any]]:
    """Account 0 is all of them; without passwords."""
    await one_or_all(tools, account)

    def read(connection: Connection) -> list[Inbox]:
        chosen = [account] if account else accounts.all_ids(connection)
        return [each for one in chosen for each in inboxes.of_account(connection, tools.sealer, one)]

    return [_shown_inbox(each) for each in await tools.database.read(read)]


async def inboxes_add(tools: Tools, name: str, project: int = 0, account: int = ACCOUNT) -> dict[str, Any]:
    """Project 0: the account's first one. With the password, by which its user sends."""
    await known_account(tools, account)
    called, now = one_line(name, "an inbox's name"), tools.clock()

    def write(connection: Connection) -> Inbox | None:
        found = projects.of_account(connection, account, (project,) if project else None)
        if not found:
            return None
        made = inboxes.create(connection, tools.sealer, account, found[0].id, called, now)
        audit.note(connection, account, OPERATOR, "inbox.created", ("inbox", made.id, called), now)
        return made

    made = await tools.database.write(write)
    if made is None:
        raise Mistake(f"account {account} has no project {project}" if project else f"account {account} has no project")
    return _shown_inbox(made) | {"password": made.password}


async def inboxes_show(tools: Tools, inbox: int, account: int = 0) -> dict[str, Any]:
    """With its password."""
    found = await known_inbox(tools, inbox, account)
    return _shown_inbox(found) | {"password": found.password}


async def inboxes_messages(tools: Tools, inbox: int, search: str = "", before: int = 0, account: int = 0) -> list[Any]:
    """A page of the newest; ``before``: an id, they are older than it."""
    found = await known_inbox(tools, inbox, account)
    page = await tools.database.read(lambda c: caught.page(c, found.id, search=search, before=before))
    return [_shown_message(each) for each in page]


VERBS: dict[str, Verb] = {
    "projects.list": projects_list,
    "projects.add": projects_add,
    "inboxes.list": inboxes_list,
    "inboxes.add": inboxes_add,
    "inboxes.show": inboxes_show,
    "inboxes.messages": inboxes_messages,
}


def _shown_project(project: Project) -> dict[str, Any]:
    return {"id": project.id, "account_id": project.account_id, "name": project.name}


def _shown_inbox(inbox: Inbox) -> dict[str, Any]:
    return {
        "id": inbox.id,
        "account_id": inbox.account_id,
        "project_id": inbox.project_id,
        "name": inbox.name,
        "username": inbox.username,
        "messages": inbox.messages_count,
        "unread": inbox.unread_count,
        "max_size": inbox.max_size,
        "last_message_at": iso(inbox.last_message_at or None),
    }


def _shown_message(each: Caught) -> dict[str, Any]:
    return {
        "id": each.id,
        "caught_at": iso(each.created_at),
        "from": each.from_email,
        "to": each.to_email,
        "recipients": list(each.envelope_to),
        "subject": each.subject,
        "size": each.size,
        "is_read": each.is_read,
        "endpoint": each.endpoint,
    }
