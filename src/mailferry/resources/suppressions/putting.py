"""A list that holds each address once (Amazon's): put over what stands for all domains, and lifted wherever it stands.

Unsubscriptions are the recipients' own, and none of these are lost: where one stands in the place that is put over, it
goes on for each stream.
"""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, select

from mailferry.mail import address as addresses
from mailferry.resources.suppressions.reading import LISTED, of_addresses
from mailferry.resources.suppressions.standing import ALL_DOMAINS, ANY, STREAMS, UNSUBSCRIPTION, add, entry, remove
from mailferry.store.schema import accounts


def put(connection: Connection, account_id: int, types: Mapping[str, str], actor: str, now: int) -> None:
    """Suppressed for all domains and any stream afterwards, for this and from now. ``types`` by address (as parsed)."""
    _lock(connection, account_id)
    wanted = {addresses.key(address): type_ for address, type_ in types.items()}
    standing = [each for each in of_addresses(connection, account_id, wanted) if each.domain_id == ALL_DOMAINS]
    place = [each for each in standing if each.stream == ANY]
    unwilling = {each.address: each.created_at for each in place if each.type == UNSUBSCRIPTION}
    # What else stands for a stream of theirs says less than what comes, and is in the way.
    less = [each for each in standing if each.stream != ANY and each.address in unwilling and each.type in LISTED]
    remove(connection, [*place, *less], actor, now)
    kept = [
        entry(account_id, address, since, stream=stream, type=UNSUBSCRIPTION)
        for address, since in unwilling.items()
        for stream in STREAMS
        if stream != ANY
    ]
    new = [entry(account_id, address, now, type=type_) for address, type_ in wanted.items()]
    add(connection, [*kept, *new], actor, now)


def lift(connection: Connection, account_id: int, given: Iterable[str], actor: str, now: int) -> Sequence[str]:
    """Of these addresses all but unsubscriptions, for whatever domain; those (in key form) that there were."""
    wanted = sorted({addresses.key(each) for each in given})
    found = [each for each in of_addresses(connection, account_id, wanted) if each.type in LISTED]
    return sorted({each.address for each in remove(connection, found, actor, now)})


def _lock(connection: Connection, account_id: int) -> None:
    """Two that put the same address would each remove what stood, and the second's own would not be taken."""
    connection.execute(select(accounts.c.id).where(accounts.c.id == account_id).with_for_update())
