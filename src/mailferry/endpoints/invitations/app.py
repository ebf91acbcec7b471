"""`/invitations/{secret}`: GET shows who invites to what, POST accepts. Whoever has no right link learns nothing at all.

No cookie is read or set; the secret in the path is all that is asked for, so it stands in no log (endpoints/hosts.py).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mailferry.endpoints.invitation_mail import PAGE
from mailferry.endpoints.invitations import pages
from mailferry.endpoints.pages import fields, form_body
from mailferry.resources import audit, invitations, tree, users
from mailferry.resources.audit import Actor
from mailferry.resources.invitations import Accepted, Offer, PersonGone
from mailferry.resources.permissions import ADMIN, OWNER, VIEWER, VIEWER_PLUS, Grant, Resource
from mailferry.resources.users import LEAST_PASSWORD, MOST_PASSWORD
from mailferry.store.database import Database

_LEVELS = {OWNER: "owner", ADMIN: "admin", VIEWER_PLUS: "viewer+", VIEWER: "viewer"}


@dataclass(frozen=True, slots=True)
class Deps:
    database: Database
    clock: Callable[[], int]


@dataclass(frozen=True, slots=True)
class _Person:
    name: str
    password: str
    wrong: Sequence[str]


def routes(deps: Deps) -> list[Route]:
    site = _Site(deps)
    return [
        Route(f"{PAGE}{{secret}}", site.page, methods=["GET", "POST"]),
        Route(f"{PAGE}{{rest:path}}", site.missing, methods=["GET", "POST"]),
    ]


class _Site:
    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        #: A password at a time: hashing one takes 64 MiB.
        self._hashing = asyncio.Lock()

    async def missing(self, request: Request) -> Response:
        return pages.missing()

    async def page(self, request: Request) -> Response:
        secret: str = request.path_params["secret"]
        shown = await self._deps.database.read(lambda connection: self._offer(connection, secret))
        if shown is None:
            return pages.missing()
        if request.method != "POST":
            return pages.ask(*shown)
        offer, granted = shown
        given = fields(await form_body(request) or b"")
        person = _Person("", "", ()) if offer.known else _person(given)
        if given.get("action") != ["accept"] or person.wrong:
            return pages.ask(offer, granted, name=person.name, wrong=person.wrong or ("Nothing was accepted yet.",))
        return await self._accept(secret, offer, person)

    async def _accept(self, secret: str, offer: Offer, person: _Person) -> Response:
        hashed = await self._hash(person.password) if person.password else ""

        def write(connection: Connection) -> Accepted | None:
            now = self._deps.clock()
            accepted = invitations.accept(connection, secret, person.name, hashed, now)
            if accepted:
                actor = Actor("user", accepted.user.id, accepted.user.email)
                resource = ("invitation", accepted.invitation_id, accepted.user.email)
                audit.note(connection, accepted.account_id, actor, "invitation.accepted", resource, now)
            return accepted

        try:
            accepted = await self._deps.database.write(write)
        except PersonGone:  # the form is another one now
            return await self._again(secret)
        return pages.accepted(accepted.user.email, offer.account_name) if accepted else pages.missing()

    async def _again(self, secret: str) -> Response:
        shown = await self._deps.database.read(lambda connection: self._offer(connection, secret))
        return pages.ask(*shown) if shown else pages.missing()

    async def _hash(self, password: str) -> str:
        async with self._hashing:
            return await asyncio.to_thread(users.hash_password, password)

    def _offer(self, connection: Connection, secret: str) -> tuple[Offer, list[str]] | None:
        offer = invitations.offer(connection, secret, self._deps.clock())
        if offer is None:
            return None
        names = {(node.kind, node.id): node.name for node in tree.of_account(connection, offer.account_id).walk()}
        return offer, [_told(grant, names) for grant in offer.access.grants]


def _told(grant: Grant, names: Mapping[tuple[Resource, int], str]) -> str:
    level = _LEVELS.get(grant.level, str(grant.level))
    if grant.kind in (Resource.ACCOUNT, Resource.ORGANIZATION):
        return f"{level} of the {'account' if grant.kind is Resource.ACCOUNT else 'whole organization'}"
    return f"{level} of {names.get((grant.kind, grant.id), f'{grant.kind} {grant.id}')}"


def _person(given: Mapping[str, list[str]]) -> _Person:
    name = " ".join(given.get("name", [""])[0].split())
    password, again = (given.get(field, [""])[0] for field in ("password", "password_again"))
    wrong = []
    if not name or len(name) > pages.MOST_NAME or not name.isprintable():
        wrong.append(f"A name is 1 to {pages.MOST_NAME} characters that can be printed.")
        name = ""
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        wrong.append(f"A password is {LEAST_PASSWORD} to {MOST_PASSWORD} characters long.")
    elif password != again:
        wrong.append("The two passwords are not the same.")
    return _Person(name, password, wrong)
