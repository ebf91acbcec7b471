"""Rights: a level holds for everything below, and for nothing beside."""

import pytest

from mailferry.resources.permissions import ADMIN, INDETERMINATE, NONE, OWNER, VIEWER, Grant, Resource, Rights


def rights(*grants: Grant, organization: int = 0) -> Rights:
    return Rights.of(7, organization, grants)


def test_a_level_on_the_account_holds_for_all_of_it() -> None:
    found = rights(Grant(Resource.ACCOUNT, 7, ADMIN))
    assert found.account == ADMIN
    assert (
        found.on(Resource.DOMAIN, 5) == found.on(Resource.INBOX, 3, parent=2) == found.on(Resource.BILLING, 7) == ADMIN
    )
    assert found.granted(Resource.DOMAIN) is None


def test_a_level_on_another_account_is_none_here() -> None:
    found = rights(Grant(Resource.ACCOUNT, 8, OWNER))
    assert found.account == NONE and found.on(Resource.DOMAIN, 5) == NONE
    assert found.granted(Resource.DOMAIN) == frozenset()


def test_a_level_on_the_organization_holds_for_its_accounts() -> None:
    assert rights(Grant(Resource.ORGANIZATION, 4, ADMIN), organization=4).account == ADMIN
    assert rights(Grant(Resource.ORGANIZATION, 4, ADMIN), organization=5).account == NONE
    assert rights(Grant(Resource.ORGANIZATION, 0, ADMIN)).account == NONE  # an account that stands alone


def test_an_inbox_inherits_from_its_project_and_a_domain_from_none() -> None:
    found = rights(Grant(Resource.PROJECT, 2, ADMIN), Grant(Resource.DOMAIN, 5, VIEWER))
    assert found.on(Resource.INBOX, 3, parent=2) == ADMIN
    assert found.on(Resource.INBOX, 3, parent=9) == NONE
    assert found.on(Resource.DOMAIN, 2) == NONE
    assert found.granted(Resource.DOMAIN) == {5} and found.granted(Resource.DOMAIN, ADMIN) == frozenset()


@pytest.mark.parametrize(("below", "shown"), [(ADMIN, INDETERMINATE), (NONE, NONE)])
def test_what_is_above_of_something_granted_is_shown_as_indeterminate(below: int, shown: int) -> None:
    assert rights(Grant(Resource.PROJECT, 2, ADMIN)).shown(Resource.ACCOUNT, 7, below) == shown
