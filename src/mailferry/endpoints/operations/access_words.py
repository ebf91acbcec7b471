"""What may be done, in an operator's words: ``account=admin``, ``domain:shop.example=viewer``."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection

from mailferry.endpoints.operations.tools import Mistake
from mailferry.resources import accesses, accounts, organizations, tree
from mailferry.resources.accesses import Specifier
from mailferry.resources.permissions import ADMIN, OWNER, SINGLE, VIEWER, VIEWER_PLUS, Grant, Resource
from mailferry.resources.tree import Node

#: Of a token.
LEVELS: Mapping[str, int] = {"admin": ADMIN, "viewer-plus": VIEWER_PLUS, "viewer": VIEWER}
#: Of a person, on an account or an organization.
ROLES: Mapping[str, int] = {"owner": OWNER, **LEVELS}

_OWNED = (Resource.ACCOUNT, Resource.ORGANIZATION)
_ALONE = frozenset({*_OWNED, *SINGLE})
_FORMS = "account, organization, templates, billing, campaigns, domain:NAME, project:ID or inbox:ID"


def read(connection: Connection, account_id: int, access: Sequence[str], *, of_person: bool = False) -> list[Grant]:
    """Raises :class:`Mistake`."""
    nodes, levels = _nodes(connection, account_id), ROLES if of_person else LEVELS
    found: dict[tuple[Resource, int], Grant] = {}
    for text in access:
        grant = _grant(text, nodes, levels)
        if (grant.kind, grant.id) in found:
            raise Mistake(f"access to {text.rpartition('=')[0]} is named twice")
        found[grant.kind, grant.id] = grant
    if not found:
        raise Mistake(f"a {'person' if of_person else 'token'} needs access to something, such as account=admin")
    return list(found.values())


def told(connection: Connection, account_id: int, granted: Iterable[Grant]) -> list[str]:
    """As :func:`read` understands it."""
    names = {(node.kind, node.id): node.name for node in _nodes(connection, account_id)}
    return [_told(grant, names) for grant in granted]


def of_holder(connection: Connection, account_id: int, holder: Specifier, holder_id: int) -> list[str]:
    """Of a token, a key pair or an invitation, as :func:`told`."""
    found = accesses.of_specifier(connection, holder, holder_id)
    return told(connection, account_id, [grant for access in found for grant in access.grants])


def level(word: str) -> int:
    """Of a person on an account. Raises :class:`Mistake`."""
    if word not in ROLES:
        raise Mistake(f"{word!r} is no role; there are: {', '.join(ROLES)}")
    return ROLES[word]


def _nodes(connection: Connection, account_id: int) -> list[Node]:
    organization = accounts.organization_of(connection, account_id)
    above = []
    if organization:
        above.append(Node(Resource.ORGANIZATION, organization, organizations.name_of(connection, organization) or ""))
    return [*above, *tree.of_account(connection, account_id).walk()]


def _grant(text: str, nodes: Sequence[Node], levels: Mapping[str, int]) -> Grant:
    resource, _, word = text.rpartition("=")
    if word not in levels:
        raise Mistake(f"{text!r} is no access: RESOURCE=LEVEL with one of the levels {', '.join(levels)}")
    kind, _, which = resource.partition(":")
    for node in nodes:
        named = not which if node.kind in _ALONE else _is(node, which)
        if node.kind == kind and named:
            if levels[word] >= OWNER and node.kind not in _OWNED:
                raise Mistake(f"{text!r} is no access: an account has owners, and an organization, but nothing below")
            return Grant(node.kind, node.id, levels[word])
    raise Mistake(f"the account has no {resource!r}: access is given to {_FORMS}")


def _is(node: Node, which: str) -> bool:
    """By its id; a domain also by its name, which is what people know."""
    return which == str(node.id) or (node.kind is Resource.DOMAIN and which.strip().rstrip(".").lower() == node.name)


def _told(grant: Grant, names: Mapping[tuple[Resource, int], str]) -> str:
    word = next((word for word, number in ROLES.items() if number == grant.level), str(grant.level))
    if grant.kind in _ALONE:
        return f"{grant.kind}={word}"
    which = names.get((grant.kind, grant.id), "") if grant.kind is Resource.DOMAIN else ""
    return f"{grant.kind}:{which or grant.id}={word}"
