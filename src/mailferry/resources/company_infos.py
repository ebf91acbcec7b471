"""Who stands behind the sending domains of an account: asked for in their review.

Mailtrap keeps it "for a domain / account": given for one domain it counts for all of the account, until another is given
facts of its own.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, insert, select, update

from mailferry.resources import audit, domain_reviews, domains
from mailferry.resources.audit import Actor
from mailferry.resources.domains import Domain
from mailferry.resources.permissions import Resource
from mailferry.store.schema import company_infos
from mailferry.store.schema import domains as domains_table

BUSINESS, INDIVIDUAL = "business", "individual"


@dataclass(frozen=True, slots=True)
class CompanyInfo:
    """Empty is not given. ``info_level`` is :data:`BUSINESS` or :data:`INDIVIDUAL`."""

    name: str = ""
    address: str = ""
    city: str = ""
    country: str = ""
    phone: str = ""
    zip_code: str = ""
    privacy_policy_url: str = ""
    terms_of_service_url: str = ""
    website_url: str = ""
    info_level: str = BUSINESS


_COLUMNS = [company_infos.c[name] for name in CompanyInfo.__dataclass_fields__]


def of_domain(connection: Connection, domain: Domain) -> CompanyInfo | None:
    """Its own, else what was last given for another domain of the account."""
    return _own(connection, domain) or _of_account(connection, domain)


def put(connection: Connection, domain: Domain, info: CompanyInfo, actor: Actor, now: int) -> CompanyInfo:
    """Given for the first time, or given anew as a whole."""
    domains.lock(connection, domain.id)
    before = _own(connection, domain)
    values = asdict(info) | {"updated_at": now}
    if before is None:
        connection.execute(insert(company_infos).values(domain_id=domain.id, **values))
    else:
        connection.execute(update(company_infos).where(company_infos.c.domain_id == domain.id).values(values))
    _note(connection, domain, before, info, actor, now)
    domain_reviews.company_info_given(connection, domain, actor, now)
    return info


def change(
    connection: Connection, domain: Domain, values: Mapping[str, str], actor: Actor, now: int
) -> CompanyInfo | None:
    """Some fields, for this domain alone; None when nothing was given yet that could be changed."""
    domains.lock(connection, domain.id)
    before = of_domain(connection, domain)
    return put(connection, domain, CompanyInfo(**asdict(before) | dict(values)), actor, now) if before else None


def _own(connection: Connection, domain: Domain) -> CompanyInfo | None:
    row = connection.execute(select(*_COLUMNS).where(company_infos.c.domain_id == domain.id)).one_or_none()
    return CompanyInfo(*row) if row else None


def _of_account(connection: Connection, domain: Domain) -> CompanyInfo | None:
    given = (
        select(*_COLUMNS)
        .join(domains_table, domains_table.c.id == company_infos.c.domain_id)
        .where(domains_table.c.account_id == domain.account_id, domains_table.c.deleted_at == 0)
        .order_by(company_infos.c.updated_at.desc(), company_infos.c.domain_id.desc())
        .limit(1)
    )
    row = connection.execute(given).one_or_none()
    return CompanyInfo(*row) if row else None


def _note(
    connection: Connection, domain: Domain, before: CompanyInfo | None, after: CompanyInfo, actor: Actor, now: int
) -> None:
    if before == after:
        return
    event = "company_info.updated" if before else "company_info.created"
    old = asdict(before) if before else dict.fromkeys(asdict(after), "")
    changes = {name: (old[name], value) for name, value in asdict(after).items()}
    audit.note(connection, domain.account_id, actor, event, (Resource.DOMAIN, domain.id, domain.name), now, changes)
