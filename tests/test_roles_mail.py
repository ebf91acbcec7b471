"""What Mailferry itself has to say goes the way of all mail: from a domain of the account's, to its owner, and once."""

import pytest
from sqlalchemy import Connection, update

from mailferry.consumers.alerts.watch import Alerts
from mailferry.first_run import OWNER_EMAIL
from mailferry.resources import accesses, domain_alerts, domains, organizations, users
from mailferry.resources.permissions import ADMIN, OWNER, Grant, Resource
from mailferry.resources.system_mail import Mail
from mailferry.roles.mail import NO_RECIPIENT, NO_SENDER, SystemMail
from mailferry.store.given import add_rows
from mailferry.store.schema import domains as domains_table
from mailferry.store.schema import messages, recipients, stats
from tests import delivery_support
from tests.delivery_support import DOMAIN, Office

office, engines = delivery_support.office, delivery_support.engines
OLGA = "olga@shop.test"


def mail(office: Office, **changes: str) -> Mail:
    given = {"key": "5/17", "recipient": "", "subject": "It is red", "text": "It was green.\n"} | changes
    return Mail(office.account, **given)


async def user(office: Office, email: str = OLGA, level: int = OWNER) -> None:
    await office.database.write(lambda c: users.create(c, office.account, email, "", level, office.clock()))


async def test_it_goes_to_those_who_own_the_account(office: Office) -> None:
    await user(office)
    await user(office, "max@shop.test")
    await user(office, "ann@shop.test", ADMIN)
    post = SystemMail(office.database, office.intake)
    assert await post.send(mail(office)) == ""
    (message,) = await office.rows(messages)
    assert (message.sender, message.subject, message.endpoint) == (f"mailer@{DOMAIN}", "It is red", "system")
    assert {row.address for row in await office.rows(recipients)} == {OLGA, "max@shop.test"}


async def test_however_often_it_is_sent_it_is_sent_once(office: Office) -> None:
    post = SystemMail(office.database, office.intake)
    for _ in range(2):
        assert await post.send(mail(office, recipient="ops@shop.test")) == ""
    assert await post.send(mail(office, recipient="ops@shop.test", key="5/18")) == ""
    assert [row.address for row in await office.rows(recipients)] == ["ops@shop.test"] * 2


async def test_of_an_account_that_nobody_owns_those_who_own_the_organization(office: Office) -> None:
    await user(office)

    def below(connection: Connection) -> tuple[list[str], list[str]]:
        now = office.clock()
        group = organizations.create(connection, "Group", office.account, now)
        made = organizations.create_sub_account(connection, group, "Below", now)
        assert users.owners(connection, made) == []
        (access,) = accesses.of_account(connection, office.account)
        accesses.put(connection, access.id, [Grant(Resource.ORGANIZATION, group, OWNER)])
        return users.owners(connection, made), users.owners(connection, office.account)

    assert await office.database.write(below) == ([OLGA], [OLGA])


async def test_why_it_was_not_sent(office: Office) -> None:
    post = SystemMail(office.database, office.intake)
    await user(office, OWNER_EMAIL)
    assert await post.send(mail(office)) == NO_RECIPIENT
    assert "address_invalid" in await post.send(mail(office, recipient="nobody"))
    state = {"state": domains.SUSPENDED}
    await office.database.write(lambda c: c.execute(update(domains_table).values(state)))
    office.book.forget()
    assert await post.send(mail(office, recipient="ops@shop.test")) == NO_SENDER
    assert await office.rows(messages) == []


async def test_an_alert_survives_a_death_between_its_mail_and_its_note(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await user(office)
    key = {"account_id": office.account, "hour": office.clock() // 3_600_000, "domain_id": office.domain}
    row = {**key, "stream": "bulk", "category": "", "provider": "", "template_id": 0, "sent": 1_000, "bounced": 70}
    await office.database.write(lambda c: add_rows(c, stats, [row]))
    alerts = Alerts(office.database, office.clock, SystemMail(office.database, office.intake).send)
    with monkeypatch.context() as patched:

        def die(*_: object) -> None:
            raise RuntimeError("dead")

        patched.setattr(domain_alerts, "told", die)
        await alerts.step()
    assert len(await office.rows(messages)) == 1
    await alerts.step()
    await alerts.step()
    (message,) = await office.rows(messages)
    assert message.subject == f"{DOMAIN}: bounce rate is red (7.00%)"
    assert await office.database.read(domain_alerts.untold) == []
