"""Files of import jobs: a line is a record, of the suppression list or of a contact list, as CSV or JSON.

A piece of lines is one transaction. Lines that say nothing valid are refused, and counted, and change nothing.
"""

import csv
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection

from mailferry.endpoints.ses.suppressions import TYPES
from mailferry.mail import address as addresses
from mailferry.mail.address import BadAddress
from mailferry.resources import suppressions
from mailferry.resources.contacts import jobs, preferences, topics, uploads
from mailferry.resources.contacts.jobs import Job
from mailferry.resources.contacts.preferences import Wish
from mailferry.resources.contacts.topics import Board
from mailferry.resources.contacts.uploads import Piece, Refusal

_TOPIC = "topicPreferences."
_TRUTH = {"true": True, "false": False}
_ANSWERS = {"OPT_IN": True, "OPT_OUT": False}


class Request(msgspec.Struct, frozen=True):
    """What is to be done with a file. Without a contact list it is of the suppression list."""

    format: str
    action: str
    #: As the history of the suppression list has it.
    actor: str
    #: The client's own words, to be shown again.
    source: str
    list_name: str = ""


class Hopeless(ValueError):
    """Nothing of the file can be read, and the text says why."""


class Wrong(ValueError):
    """A record; the text says why."""


def work(connection: Connection, job: Job, now: int) -> bool:
    """One piece, in this transaction. False: there is none left, or the job is somebody else's now."""
    held = jobs.hold(connection, job, now)
    if held is None:
        return False
    piece = uploads.take(connection, held)
    if piece is None:
        jobs.finish(connection, job, now)
        return False
    request = msgspec.json.decode(held.request, type=Request)
    try:
        reader = _Contacts(connection, held, request) if request.list_name else _Suppressions(connection, held, request)
        reader.read(piece)
    except Hopeless as error:
        jobs.end(connection, job, str(error), now)
        return False
    reader.save(now)
    uploads.done(connection, held, piece, reader.count, reader.refusals, reader.cursor)
    return True


class _Reader:
    """``cursor``: what must be known of the lines before."""

    def __init__(self, connection: Connection, job: Job, request: Request) -> None:
        self.connection, self.job, self.request = connection, job, request
        self.cursor = job.cursor
        self.count = 0
        self.refusals: list[Refusal] = []

    def read(self, piece: Piece) -> None:
        for line in piece.lines:
            if not line.strip() or self.is_head(line):
                continue
            self.count += 1
            try:
                self.record(self._members(line))
            except Wrong as error:
                self.refusals.append(Refusal(line[:2000], str(error)))

    def is_head(self, line: str) -> bool:
        return False

    def of_cells(self, cells: Sequence[str]) -> Mapping[str, Any]:
        raise NotImplementedError

    def record(self, members: Mapping[str, Any]) -> None:
        raise NotImplementedError

    def save(self, now: int) -> None:
        raise NotImplementedError

    def _members(self, line: str) -> Mapping[str, Any]:
        if self.request.format == "CSV":
            return self.of_cells(cells_of(line))
        try:
            found = msgspec.json.decode(line)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise Wrong(f"it is no JSON: {error}") from None
        if not isinstance(found, dict):
            raise Wrong("it is no JSON object")
        return found


class _Suppressions(_Reader):
    """``address,BOUNCE``, and ``{"emailAddress": ..., "reason": ...}``; to delete an address needs no reason."""

    def __init__(self, connection: Connection, job: Job, request: Request) -> None:
        super().__init__(connection, job, request)
        self._types: dict[str, str] = {}

    def of_cells(self, cells: Sequence[str]) -> Mapping[str, Any]:
        return dict(zip(("emailAddress", "reason"), cells, strict=False))

    def record(self, members: Mapping[str, Any]) -> None:
        email, reason = email_of(members), members.get("reason")
        type_ = TYPES.get(reason.strip(), "") if isinstance(reason, str) else ""
        if self.request.action == "PUT" and not type_:
            raise Wrong(f"the reason is none of {', '.join(TYPES)}")
        self._types[email] = type_

    def save(self, now: int) -> None:
        change = (self.connection, self.job.account_id, self._types, self.request.actor, now)
        if self.request.action == "PUT":
            suppressions.put(*change)
        else:
            suppressions.lift(*change)


class _Contacts(_Reader):
    """With a head of columns as CSV; ``topicPreferences.NAME`` is one of a topic. What is put is all that a contact says."""

    def __init__(self, connection: Connection, job: Job, request: Request) -> None:
        super().__init__(connection, job, request)
        self._board = _board(connection, job, request)
        self._columns: list[str] = msgspec.json.decode(job.cursor) if job.cursor else []
        self._wishes: list[Wish] = []

    def is_head(self, line: str) -> bool:
        if self.request.format != "CSV" or self._columns:
            return False
        if "\0" in line:
            raise Hopeless("The first line holds a NUL character: save the file as UTF-8.")
        try:
            self._columns = [cell.strip() for cell in cells_of(line)]
        except Wrong as error:
            raise Hopeless(f"The first line names no columns: {error}") from None
        if "emailAddress" not in self._columns:
            raise Hopeless("The first line of a CSV file of contacts must name its columns, one of them emailAddress.")
        for column in self._columns:
            if column.startswith(_TOPIC) and self._board.topic(column.removeprefix(_TOPIC)) is None:
                raise Hopeless(f"List: {self._board.name} doesn't contain Topic: {column.removeprefix(_TOPIC)}")
        self.cursor = msgspec.json.encode(self._columns).decode()
        return True

    def of_cells(self, cells: Sequence[str]) -> Mapping[str, Any]:
        if len(cells) > len(self._columns):
            raise Wrong("it has more cells than there are columns")
        named = dict(zip(self._columns, cells, strict=False))
        said = [
            {"topicName": column.removeprefix(_TOPIC), "subscriptionStatus": cell.strip()}
            for column, cell in named.items()
            if column.startswith(_TOPIC) and cell.strip()
        ]
        return {column: cell for column, cell in named.items() if cell.strip()} | {"topicPreferences": said}

    def record(self, members: Mapping[str, Any]) -> None:
        attributes = members.get("attributesData") or ""
        text = attributes if isinstance(attributes, str) else msgspec.json.encode(attributes).decode()
        if "\0" in text:  # PostgreSQL keeps none, and would not keep the lines beside it either
            raise Wrong("attributesData holds a NUL character")
        self._wishes.append(
            Wish(email_of(members), self._said(members), _truth(members.get("unsubscribeAll")), text, whole=True)
        )

    def save(self, now: int) -> None:
        account_id = self.job.account_id
        if self.request.action == "PUT":
            preferences.save(self.connection, account_id, self._board, self._wishes, self.request.actor, now)
        else:
            emails = [each.email for each in self._wishes]
            there = preferences.of_addresses(self.connection, account_id, self._board, emails)
            preferences.leave(self.connection, account_id, [each.email for each in there])

    def _said(self, record: Mapping[str, Any]) -> dict[str, bool]:
        found = {}
        given = record.get("topicPreferences") or []
        for each in given if isinstance(given, list) else [given]:
            members = each if isinstance(each, dict) else {}
            name, status = (str(members.get(key, "")) for key in ("topicName", "subscriptionStatus"))
            if self._board.topic(name) is None:
                raise Wrong(f"List: {self._board.name} doesn't contain Topic: {name}")
            if status not in _ANSWERS:
                raise Wrong(f"the status of topic {name} is neither OPT_IN nor OPT_OUT")
            found[name] = _ANSWERS[status]
        return found


def _board(connection: Connection, job: Job, request: Request) -> Board:
    found = topics.lock(connection, job.account_id, request.list_name)
    if found is None:
        raise Hopeless(f"List with name: {request.list_name} doesn't exist.")
    return found


def cells_of(line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        raise Wrong(f"it is no CSV: {error}") from None


def email_of(members: Mapping[str, Any]) -> str:
    given = members.get("emailAddress")
    if not isinstance(given, str) or not given.strip():
        raise Wrong("there is no address")
    try:
        if "\N{REPLACEMENT CHARACTER}" in given:
            raise BadAddress("the address holds octets that are no text; save the file as UTF-8")
        return addresses.parse(given.strip())
    except BadAddress as error:
        raise Wrong(str(error)) from None


def _truth(given: Any) -> bool | None:
    if given is None or isinstance(given, bool):
        return given
    found = _TRUTH.get(str(given).strip().lower())
    if found is None:
        raise Wrong("unsubscribeAll is neither true nor false")
    return found
