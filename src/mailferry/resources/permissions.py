"""Who may do what: a level on a resource, which holds for everything below it.

    organization > account > project > inbox
                           > domain
                           > billing, templates, campaigns (one of each an account, known by the account's id)

A person, an invitation and an API token are *specifiers* (Mailtrap's word); each has one *access* to an account, and an
access has grants. The levels are Mailtrap's numbers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

OWNER, ADMIN, VIEWER_PLUS, VIEWER = 1000, 100, 50, 10
#: Shown for a resource on which nothing is granted, but on something below it.
INDETERMINATE = 1
NONE = 0


class Resource(StrEnum):
    """Resources that rights are given on, in our own words; each dialect spells them its way."""

    ORGANIZATION = "organization"
    ACCOUNT = "account"
    PROJECT = "project"
    INBOX = "inbox"
    DOMAIN = "domain"
    BILLING = "billing"
    TEMPLATES = "templates"
    CAMPAIGNS = "campaigns"


#: Those that an account has one of, which has the account's id.
SINGLE = frozenset({Resource.BILLING, Resource.TEMPLATES, Resource.CAMPAIGNS})


@dataclass(frozen=True, slots=True)
class Grant:
    kind: Resource
    id: int
    level: int


@dataclass(frozen=True, slots=True)
class Rights:
    """What one specifier may do in one account."""

    account_id: int
    organization_id: int = 0
    grants: Mapping[tuple[Resource, int], int] = field(default_factory=dict)

    @classmethod
    def of(cls, account_id: int, organization_id: int, grants: Iterable[Grant]) -> "Rights":
        return cls(account_id, organization_id, {(grant.kind, grant.id): grant.level for grant in grants})

    @property
    def account(self) -> int:
        """The level that holds for everything in the account."""
        return max(self._own(Resource.ACCOUNT, self.account_id), self.organization)

    @property
    def organization(self) -> int:
        return self._own(Resource.ORGANIZATION, self.organization_id) if self.organization_id else NONE

    def on(self, kind: Resource, identity: int, parent: int = 0) -> int:
        """``parent`` is an inbox's project. Ids are not checked: ask only about resources of this account."""
        above = self.on(Resource.PROJECT, parent) if kind is Resource.INBOX and parent else self.account
        return max(self._own(kind, identity), above)

    def shown(self, kind: Resource, identity: int, below: int = NONE) -> int:
        """As a tree shows it: INDETERMINATE where only something below has a level."""
        return self.on(kind, identity) or (INDETERMINATE if below else NONE)

    def granted(self, kind: Resource, least: int = VIEWER) -> frozenset[int] | None:
        """The resources of a kind with at least this level; None = all of the account's."""
        if self.account >= least:
            return None
        return frozenset(identity for (each, identity), level in self.grants.items() if each is kind and level >= least)

    def cover(self, grants: Iterable[Grant]) -> bool:
        """Whether who holds these may be changed or removed, or have a secret made that holds them.

        An owner's are another owner's to change, and what is granted on the organization theirs who have as much of it.
        """
        mine = {Resource.ACCOUNT: self.account, Resource.ORGANIZATION: self.organization}
        return not any(
            grant.level > mine.get(grant.kind, OWNER)
            for grant in grants
            if grant.level >= OWNER or grant.kind is Resource.ORGANIZATION
        )

    def _own(self, kind: Resource, identity: int) -> int:
        return self.grants.get((kind, identity), NONE)
