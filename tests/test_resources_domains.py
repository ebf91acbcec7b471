"""Sending domains: how names are spelled, what a look into the DNS changes, and what deleting does not wipe away."""

import secrets

import pytest
from sqlalchemy import Connection

from mailferry.mail.address import BadAddress
from mailferry.resources import domain_changes, domain_reviews, domains, tokens
from mailferry.resources.audit import Actor
from mailferry.resources.domains import SETTINGS, Domain, FreshKeys
from mailferry.store.database import Database
from mailferry.store.secrets import Sealer
from tests.conftest import Clock

SEALER = Sealer(bytes(32))
ANN = Actor("user", 1, "Ann")


def keys() -> FreshKeys:
    """No keys, but other ones each time."""
    return [(selector, "ed25519-sha256", b"private", secrets.token_hex(16)) for selector in ("mf1", "mf2")]


def add(connection: Connection, name: str = "a.test", now: int = 1) -> Domain:
    return domains.add(connection, SEALER, 7, name, keys(), now)[0]


def again(connection: Connection, domain: Domain) -> Domain:
    found = domains.by_id(connection, domain.id)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("given", "stored"),
    [("A.Test", "a.test"), (" a.test. ", "a.test"), ("Bücher.test", "xn--bcher-kva.test"), ("x", "x")],
)
def test_a_name_has_one_spelling(given: str, stored: str) -> None:
    assert domains.spelled(given) == stored


@pytest.mark.parametrize("text", ["", ".", "a b", "a@b", "192.0.2.1", "-a.test", "a\n.test", '"a"@b', "a" * 64])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(BadAddress):
        domains.spelled(text)


async def test_the_first_right_look_starts_the_review_and_its_statuses_are_kept(database: Database) -> None:
    def story(connection: Connection) -> None:
        new = add(connection)
        assert (new.state, new.statuses, new.verified_at) == ("unverified_dns", {}, 0)
        domains.set_verified(connection, new, False, {"mf1"}, 2, {"dkim1": "pass", "dkim2": "missing"})
        half = again(connection, new)
        assert (half.state, half.dns_verified, half.verified_at) == ("unverified_dns", False, 0)
        assert [key.published for key in half.keys] == [True, False]
        assert half.statuses == {"dkim1": "pass", "dkim2": "missing"}
        domains.set_verified(connection, half, True, {"mf1", "mf2"}, 3, {"dkim1": "pass"})
        domains.set_verified(connection, half, False, set(), 4)
        lost = again(connection, new)
        assert (lost.state, lost.dns_verified, lost.verified_at) == ("under_review", False, 3)
        assert lost.statuses == {"dkim1": "pass"} and lost.hold_reason == "dns_not_verified"

    await database.write(story)


async def test_a_look_that_ends_late_changes_nothing_that_came_meanwhile(database: Database, clock: Clock) -> None:
    def story(connection: Connection) -> None:
        looked_at = add(connection)
        domains.set_state(connection, looked_at.id, domains.SUSPENDED)
        domains.set_verified(connection, looked_at, True, {"mf1"}, 2)
        assert again(connection, looked_at).state == domains.SUSPENDED

        domains.remove(connection, looked_at.id, 3)
        domains.set_verified(connection, looked_at, True, {"mf1"}, 4, {"dkim1": "pass"})
        assert domains.by_id(connection, looked_at.id) is None
        back = add(connection, now=5)
        domains.set_verified(connection, looked_at, True, {"mf1"}, 6, {"dkim1": "pass"})
        found = again(connection, back)
        # The look was for keys that are gone.
        assert (found.dns_verified, found.statuses, found.keys[0].published) == (False, {}, False)

    await database.write(story)


@pytest.mark.parametrize(
    ("state", "after", "suspicious"),
    [
        ("compliant", "unverified_dns", False),
        ("unverified_dns", "unverified_dns", False),
        ("under_review", "under_review", True),
        ("suspended", "suspended", True),
    ],
)
async def test_deleting_wipes_settings_away_and_no_review(
    database: Database, state: str, after: str, suspicious: bool
) -> None:
    def story(connection: Connection) -> None:
        first, new = domain_changes.add(connection, SEALER, 7, "a.test", keys(), ANN, 1)
        assert new
        domains.set_verified(connection, first, True, {"mf1"}, 2, {"dkim1": "pass"})
        domain_changes.change(
            connection, first, {"click_tracking_enabled": True, "alert_recipient_email": "x@y.test"}, ANN, 3
        )
        domain_reviews.decide(connection, first, state, ANN, 4)
        assert domain_changes.add(connection, SEALER, 7, "a.test", keys(), ANN, 5)[1] is False
        domain_changes.remove(connection, first, ANN, 6)
        assert domain_changes.change(connection, first, {"click_tracking_enabled": False}, ANN, 7) is None
        back, new = domain_changes.add(connection, SEALER, 7, "a.test", keys(), ANN, 8)
        assert new and back.id == first.id
        assert (back.state, back.suspicious, back.dns_verified) == (after, suspicious, False)
        assert {name: getattr(back, name) for name in SETTINGS} == SETTINGS and back.statuses == {}
        assert {key.public for key in back.keys}.isdisjoint(key.public for key in first.keys)
        names = [row.name for row in tokens.of_account(connection, 7, 9)]
        assert [name.rpartition(" ")[0] for name in names] == ["a.test token", "a.test token"]

    await database.write(story)


async def test_many_domains_come_with_their_own_keys(database: Database) -> None:
    def story(connection: Connection) -> None:
        made = [add(connection, f"d{number:04}.test") for number in range(510)]
        found = domains.of_account(connection, 7)
        assert found == made == domains.all_domains(connection)
        assert domains.of_account(connection, 8) == []

    await database.write(story)


async def test_the_oldest_that_may_send_speaks_for_the_account(database: Database) -> None:
    def story(connection: Connection) -> None:
        z, a = add(connection, "z.test"), add(connection, "a.test")
        assert domains.first_compliant(connection, 7) is None
        for domain in (a, z):
            domains.set_verified(connection, domain, True, {"mf1"}, 2)
        assert domains.first_compliant(connection, 7) is None
        for domain in (a, z):
            domains.set_state(connection, domain.id, domains.COMPLIANT)
        assert domains.first_compliant(connection, 7) == again(connection, z)
        domains.set_verified(connection, z, False, set(), 3)
        assert domains.first_compliant(connection, 7) == again(connection, a)
        domains.remove(connection, a.id, 4)
        assert domains.first_compliant(connection, 7) is None

    await database.write(story)
