"""``mailferry NOUN VERB``: domains, dns, messages, queue. Each command is a verb of the control socket and a way to show it."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from mailferry.cli import card, show
from mailferry.cli.options import HERE, Json, Limit, Where
from mailferry.cli.reach import call
from mailferry.cli.show import Column
from mailferry.journal.events import State

domains = App(
    name="domains", help="Sending domains: add, publish the records, verify, approve.", help_format="plaintext"
)
dns = App(name="dns", help="The operator's own DNS zone.", help_format="plaintext")
messages = App(name="messages", help="What was accepted, and the whole story of each message.", help_format="plaintext")
queue = App(name="queue", help="What waits, why, since when and until when.", help_format="plaintext")

Domain = Annotated[str, Parameter(help="The domain, e.g. example.com.")]


def register(app: App) -> None:
    for noun in (domains, dns, messages, queue):
        app.command(noun)


@domains.command
def add(domain: Domain, /, *, where: Where = HERE, json: Json = False) -> None:
    """Add a sending domain, make its keys, and show the records to publish."""
    config = where.load()
    result = call(config, "domains.add", domain=domain)
    if json:
        show.as_json(result)
        return
    show.line(f"{result['domain']} {'is added' if result['added'] else 'was there already'}. Publish these records:")
    _records(result["records"])
    show.line(f"\nThen: {card.command(config, 'domains verify ' + result['domain'])}")


@domains.command(name="list")
def list_(*, where: Where = HERE, json: Json = False) -> None:
    """Show all sending domains and their states."""
    result = call(where.load(), "domains.list")
    columns = [
        Column("domain", "Domain"),
        Column("state", "State"),
        Column("dns_verified", "DNS right"),
        Column("hold_reason", "Held because"),
    ]
    show.as_json(result) if json else show.table(result, columns, "No domains.")


@domains.command
def records(domain: Domain, /, *, where: Where = HERE, json: Json = False) -> None:
    """Show the DNS records that a domain publishes."""
    result = call(where.load(), "domains.records", domain=domain)
    show.as_json(result) if json else _records(result)


@domains.command
def verify(domain: Domain, /, *, where: Where = HERE, json: Json = False) -> int:
    """Ask DNS, and say record by record what is missing, wrong or right. The exit status is 1 until all is right."""
    config = where.load()
    result = call(config, "domains.verify", domain=domain)
    if json:
        show.as_json(result)
    else:
        for record in result["records"]:
            _judged(record)
        show.line(
            f"\n{result['domain']}: {_verified(result, card.command(config, 'domains approve ' + result['domain']))}"
        )
    return 0 if result["dns_verified"] else 1


@domains.command
def approve(domain: Domain, /, *, where: Where = HERE, json: Json = False) -> None:
    """End a domain's review or suspension: what was held for it leaves."""
    result = call(where.load(), "domains.approve", domain=domain)
    text = f"{result['domain']} is approved; {_number(result['released'], 'held recipient')} may leave now."
    show.as_json(result) if json else show.line(text)


@domains.command
def suspend(domain: Domain, /, *, where: Where = HERE, json: Json = False) -> None:
    """Hold a domain's mail until it is approved again. Nothing is refused or lost."""
    result = call(where.load(), "domains.suspend", domain=domain)
    show.as_json(result) if json else show.line(f"{result['domain']} is suspended; its mail is accepted and held.")


@domains.command
def remove(domain: Domain, /, *, where: Where = HERE, json: Json = False) -> None:
    """Remove a domain; its mail is refused from now on."""
    result = call(where.load(), "domains.remove", domain=domain)
    show.as_json(result) if json else show.line(f"{result['removed']} is removed.")


@dns.command
def export(*, where: Where = HERE) -> None:
    """Print the zone file of [dns] zone: what the CNAMEs of all sending domains point at."""
    print(call(where.load(), "dns.export")["zone"], end="")


@messages.command(name="list")
def list_messages(
    *,
    where: Where = HERE,
    state: Annotated[State | None, Parameter(help="Only this state.")] = None,
    to: Annotated[str, Parameter(show_default=False, help="Part of the recipient's address.")] = "",
    sender: Annotated[str, Parameter(name="--from", show_default=False, help="Part of the sender's address.")] = "",
    limit: Annotated[Limit, Parameter(help="At most this many.")] = 50,
    json: Json = False,
) -> None:
    """Show the newest messages, one line a recipient."""
    result = call(where.load(), "messages.list", state=state or "", to=to, sender=sender, limit=limit)
    columns = [
        Column("id", "Id"),
        Column("accepted", "Accepted (UTC)"),
        Column("state", "State"),
        Column("to", "To", folds=True),
        Column("subject", "Subject", folds=True),
        Column("reason", "", folds=True),
    ]
    rows = [{**each, "accepted": _time(each["accepted_at"])} for each in result]
    show.as_json(result) if json else show.table(rows, columns, "No messages.")


@messages.command(name="show")
def show_message(
    identity: Annotated[str, Parameter(help="The id of a message, or of a recipient as its sender was given it.")],
    /,
    *,
    where: Where = HERE,
    json: Json = False,
) -> None:
    """Show one message's whole story."""
    result = call(where.load(), "messages.show", message=identity)
    show.as_json(result) if json else _story(result)


@queue.default
def list_queue(
    *,
    where: Where = HERE,
    limit: Annotated[Limit, Parameter(help="Rows shown, the oldest first.")] = 50,
    json: Json = False,
) -> None:
    """What waits, why, since when and until when."""
    result = call(where.load(), "queue.list", limit=limit)
    if json:
        show.as_json(result)
        return
    columns = [
        Column("id", "Id"),
        Column("to", "To", folds=True),
        Column("state", "State"),
        Column("why", "Why", folds=True),
        Column("since", "Since (UTC)"),
        Column("next_attempt", "Next attempt"),
        Column("until", "Until"),
    ]
    times = ("since", "next_attempt", "until")
    rows = [{**each, **{name: _time(each[name]) for name in times}} for each in result["oldest"]]
    show.table(rows, columns, "Nothing waits.")
    if result["waiting"]:
        show.line("")
    for each in result["waiting"]:
        reason = f": {each['reason']}" if each["reason"] else ""
        show.line(f"{_number(each['recipients'], 'recipient')} {each['state']}{reason}")


def _records(found: list[dict[str, Any]]) -> None:
    forms = {"zone": "In your zone ([dns] zone):", "anywhere": "Or, without the zone:", None: ""}
    for form, title in forms.items():
        rows = [record for record in found if record.get("form") == form]
        if rows and title:
            show.heading(title)
        for record in rows:
            optional = "" if record["required"] else " (optional)"
            show.line(f"\n{record['type']:<7}{record['domain']}\n       {record['value']}")
            show.line(f"       {record['purpose']}{optional}")
    hosts = {record["value"].split()[-1] for record in found if record["type"] == "MX"}
    for host in sorted(hosts):
        if "." not in host:
            show.line(f"\nNobody else can look up the name {host}, as this server calls itself: set [server] hostname.")


def _judged(record: dict[str, Any]) -> None:
    show.marked(f"{record['status']:<14}", f"{record['type']:<6}{record['domain']}")
    # The sentence repeats what a stranger's DNS said.
    show.marked(f"{'':14}", record["sentence"])
    if record["status"] != "pass":
        show.marked(f"{'':14}", f"Wanted: {record['value']}{'' if record['required'] else ' (optional)'}")


def _verified(result: dict[str, Any], approve_command: str) -> str:
    if not result["dns_verified"]:
        return "not verified yet; mend the records above and verify again (DNS may need some minutes)"
    if result["state"] == "under_review":
        return f"verified, and under review: it sends a limited number an hour until: {approve_command}"
    return f"verified, {result['state']}"


def _story(story: dict[str, Any]) -> None:
    names = ("message_id", "rfc_message_id", "from", "subject", "stream", "endpoint", "category", "size")
    pairs = [(name.replace("_", " "), story[name]) for name in (*names, "custom_variables")]
    show.facts([*pairs, ("accepted (UTC)", _time(story["accepted_at"]))])
    columns = [
        Column("when", "When (UTC)"),
        Column("kind", "Event"),
        Column("host", "Host"),
        Column("heard", "", folds=True),
    ]
    for recipient in story["recipients"]:
        show.heading(f"{recipient['to']} ({recipient['id']})")
        show.facts([(name, recipient[name]) for name in ("state", "reason", "attempts")])
        events = [{**event, "when": _time(event["at"]), "heard": _heard(event)} for event in recipient["events"]]
        show.table(events, columns, "")


def _heard(event: dict[str, Any]) -> str:
    parts = (event.get("code") or "", event.get("enhanced", ""), event.get("response", ""), event.get("reason", ""))
    return " ".join(str(part) for part in parts if part)


def _time(iso: str | None) -> str | None:
    """2026-11-24T07:38:39.105Z as people write it; programs have --json."""
    return iso[:19].replace("T", " ") if iso else None


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
