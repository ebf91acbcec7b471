"""Templates that messages are rendered from: kept by account, every version of subject and bodies beside the newest.

What is rendered and how is a fact of each template (``escape``, ``strict``); which dialect it came by is none. Versions
are numbered from 1; the newest one is sent, and an older one comes back as a new one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from mailferry.resources import audit
from mailferry.resources.audit import Actor
from mailferry.store.schema import accounts, template_versions, templates

#: Characters of name, category and subject, and of each body: Mailtrap's limits.
MAX_LINE = 255
MAX_BODY = 10_000_000
#: Versions that are kept of one template, and how many octets they may have together; the newest one always stays.
KEPT_VERSIONS = 100
KEPT_OCTETS = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Texts:
    """What a template consists of, and what a version is of. An empty body is none."""

    subject: str
    body_html: str = ""
    body_text: str = ""

    @property
    def octets(self) -> int:
        return sum(len(text.encode()) for text in (self.subject, self.body_html, self.body_text))


@dataclass(frozen=True, slots=True)
class Facts:
    """What may be said of a template as a whole."""

    name: str
    category: str = ""
    escape: bool = True
    strict: bool = False
    #: JSON: data to look at it with.
    test_data: str = "{}"


@dataclass(frozen=True, slots=True)
class Head:
    """A template without its texts."""

    id: int
    account_id: int
    uuid: str
    facts: Facts
    #: Of the version that is sent.
    version: int
    size: int
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Template:
    head: Head
    texts: Texts


@dataclass(frozen=True, slots=True)
class Version:
    """``size`` in octets."""

    number: int
    subject: str
    size: int
    created_by: str
    created_at: int


# --- reading -------------------------------------------------------------------------------------------------------

_FACTS = tuple(Facts.__dataclass_fields__)
_TEXTS = tuple(Texts.__dataclass_fields__)
_HEAD = [*(templates.c[name] for name in ("id", "account_id", "uuid", *_FACTS, "version", "created_at", "updated_at"))]
_VERSION = [template_versions.c[name] for name in Version.__dataclass_fields__]


def count(connection: Connection, account_id: int) -> int:
    return int(connection.execute(select(func.count()).where(templates.c.account_id == account_id)).scalar_one())


def heads(connection: Connection, account_id: int, *, limit: int = 0, offset: int = 0) -> list[Head]:
    """Newest first; ``limit`` 0 is all."""
    found = _heads().where(templates.c.account_id == account_id).order_by(templates.c.id.desc())
    return [_head(row) for row in connection.execute(found.limit(limit).offset(offset) if limit else found)]


def named(connection: Connection, account_id: int, name: str) -> list[Head]:
    """A name may be given to several."""
    found = _heads().where(templates.c.account_id == account_id, templates.c.name == name).order_by(templates.c.id)
    return [_head(row) for row in connection.execute(found)]


def of_uuids(connection: Connection, account_id: int, uuids: Iterable[str]) -> dict[str, Head]:
    """Those of the account, by their uuids (lower case)."""
    wanted = list(uuids)
    found = _heads().where(templates.c.uuid.in_(wanted), templates.c.account_id == account_id)
    return {row.uuid: _head(row) for row in connection.execute(found)} if wanted else {}


def of_names(connection: Connection, account_id: int, names: Iterable[str]) -> dict[str, Head]:
    """Where a name must mean one template, it means the oldest one that has it: none that is made later takes its mail."""
    wanted = [name for name in names if "\0" not in name]  # PostgreSQL takes none, and no template has one
    found = _heads().where(templates.c.account_id == account_id, templates.c.name.in_(wanted))
    rows = connection.execute(found.order_by(templates.c.id.desc())) if wanted else ()
    return {row.name: _head(row) for row in rows}


def one_a_name(connection: Connection, account_id: int, *, before: int, limit: int) -> list[Head]:
    """Those that :func:`of_names` finds by their names, newest first; with lower ids than ``before`` unless it is 0."""
    older = templates.alias("older")
    taken = select(older.c.id).where(
        older.c.account_id == account_id, older.c.name == templates.c.name, older.c.id < templates.c.id
    )
    found = _heads().where(templates.c.account_id == account_id, ~taken.exists())
    found = found.where(templates.c.id < before) if before else found
    return [_head(row) for row in connection.execute(found.order_by(templates.c.id.desc()).limit(limit))]


def of_ids(connection: Connection, account_id: int, ids: Sequence[int]) -> list[Template]:
    """With their texts, newest first; ids of others are left out."""
    found = _whole().where(templates.c.id.in_(ids), templates.c.account_id == account_id)
    return [_template(row) for row in connection.execute(found.order_by(templates.c.id.desc()))]


def by_id(connection: Connection, account_id: int, template_id: int) -> Template | None:
    return next(iter(of_ids(connection, account_id, [template_id])), None)


def versions(connection: Connection, template_id: int) -> list[Version]:
    """Newest first."""
    found = select(*_VERSION).where(template_versions.c.template_id == template_id)
    return [Version(*row) for row in connection.execute(found.order_by(template_versions.c.number.desc()))]


def version(connection: Connection, template_id: int, number: int) -> tuple[Version, Texts] | None:
    row = connection.execute(
        select(*_VERSION, *(template_versions.c[name].label(f"text_{name}") for name in _TEXTS)).where(
            template_versions.c.template_id == template_id, template_versions.c.number == number
        )
    ).one_or_none()
    return (Version(*row[: len(_VERSION)]), Texts(*row[len(_VERSION) :])) if row else None


# --- writing -------------------------------------------------------------------------------------------------------


def hold(connection: Connection, account_id: int) -> None:
    """Two who create at once come one after the other. SQLite has one writer anyway."""
    connection.execute(select(accounts.c.id).where(accounts.c.id == account_id).with_for_update())


def create(
    connection: Connection,
    account_id: int,
    facts: Facts,
    texts: Texts,
    actor: Actor,
    now: int,
    *,
    most: int,
    uuid: str = "",
) -> Template | None:
    """None when the account has as many as it may (``most``). ``uuid`` is that of a template that moved in; it must be
    free in all accounts.
    """
    hold(connection, account_id)
    if count(connection, account_id) >= most:
        return None
    values = asdict(facts) | {
        "account_id": account_id,
        "uuid": uuid or str(uuid4()),
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    template_id = int(connection.execute(insert(templates).values(values).returning(templates.c.id)).scalar_one())
    _add_version(connection, template_id, 1, texts, actor, now)
    made = by_id(connection, account_id, template_id)
    assert made is not None
    _note(connection, made.head, actor, "created", now)
    return made


def change(
    connection: Connection, account_id: int, template_id: int, changes: Mapping[str, Any], actor: Actor, now: int
) -> Template | None:
    """``changes``: fields of :class:`Facts` and :class:`Texts`. None when there is no such template (any more).

    Other texts make a new version; what changes nothing leaves no trace.
    """
    before = _locked(connection, account_id, template_id)
    if before is None:
        return None
    facts = replace(before.head.facts, **{name: value for name, value in changes.items() if name in _FACTS})
    texts = replace(before.texts, **{name: value for name, value in changes.items() if name in _TEXTS})
    if (facts, texts) == (before.head.facts, before.texts):
        return before
    number = before.head.version + (texts != before.texts)
    if texts != before.texts:
        _add_version(connection, template_id, number, texts, actor, now)
    values = asdict(facts) | {"version": number, "updated_at": now}
    connection.execute(update(templates).where(templates.c.id == template_id).values(values))
    after = by_id(connection, account_id, template_id)
    assert after is not None
    _note(connection, after.head, actor, "updated", now, _changes(before, after))
    return after


def restore(
    connection: Connection, account_id: int, template_id: int, number: int, actor: Actor, now: int
) -> Template | None:
    """The texts of an older version, as a new one. None when there is no such template or version (any more)."""
    found = version(connection, template_id, number)
    return change(connection, account_id, template_id, asdict(found[1]), actor, now) if found else None


def remove(connection: Connection, account_id: int, template_id: int, actor: Actor, now: int) -> bool:
    """With all its versions. What was sent with it, and what waits, was rendered before. False: there was none."""
    before = _locked(connection, account_id, template_id)
    if before is None:
        return False
    connection.execute(delete(template_versions).where(template_versions.c.template_id == template_id))
    connection.execute(delete(templates).where(templates.c.id == template_id))
    _note(connection, before.head, actor, "deleted", now)
    return True


def _locked(connection: Connection, account_id: int, template_id: int) -> Template | None:
    connection.execute(select(templates.c.id).where(templates.c.id == template_id).with_for_update())
    return by_id(connection, account_id, template_id)


def _add_version(connection: Connection, template_id: int, number: int, texts: Texts, actor: Actor, now: int) -> None:
    values = {"size": texts.octets, "created_by": actor.name, "created_at": now}
    key = {"template_id": template_id, "number": number}
    connection.execute(insert(template_versions).values(key | values | asdict(texts)))
    octets = 0
    for kept, each in enumerate(versions(connection, template_id)):
        octets += each.size
        if kept == KEPT_VERSIONS or (kept and octets > KEPT_OCTETS):
            table = template_versions
            connection.execute(delete(table).where(table.c.template_id == template_id, table.c.number <= each.number))
            return


def _changes(before: Template, after: Template) -> dict[str, tuple[Any, Any]]:
    """For the audit log, which has no room for bodies: the versions have them."""
    old, new = asdict(before.head.facts), asdict(after.head.facts)
    facts = {name: (_shown(name, old[name]), _shown(name, new[name])) for name in old}
    subjects = {"subject": (before.texts.subject, after.texts.subject)}
    return facts | subjects | {"version": (before.head.version, after.head.version)}


def _shown(name: str, value: Any) -> Any:
    return msgspec.json.decode(value) if name == "test_data" else value


def _note(
    connection: Connection,
    head: Head,
    actor: Actor,
    deed: str,
    now: int,
    changes: Mapping[str, tuple[Any, Any]] | None = None,
) -> None:
    resource = ("email_template", head.id, head.facts.name)
    audit.note(connection, head.account_id, actor, f"email_template.{deed}", resource, now, changes)


# --- rows ----------------------------------------------------------------------------------------------------------


def _heads() -> Select[Any]:
    newest = (template_versions.c.template_id == templates.c.id) & (template_versions.c.number == templates.c.version)
    return select(*_HEAD, template_versions.c.size).join(template_versions, newest)


def _whole() -> Select[Any]:
    return _heads().add_columns(*(template_versions.c[name] for name in _TEXTS))


def _head(row: Row[Any]) -> Head:
    return Head(
        id=row.id,
        account_id=row.account_id,
        uuid=row.uuid,
        facts=Facts(*(getattr(row, name) for name in _FACTS)),
        version=row.version,
        size=row.size,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _template(row: Row[Any]) -> Template:
    return Template(_head(row), Texts(*(getattr(row, name) for name in _TEXTS)))
