"""``mailferry NOUN VERB``: domains, dns, messages, queue. Each command is a verb of the control socket and a way to show it."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from mailferry.cli import show
from mailferry.cli.options import HERE, Json, Where
from mailferry.cli.reach import call

domains = App(
    name="domains", help="Sending domains: add, publish the records, verify, approve.", help_format="plaintext"
)
dns = App(name="dns", help="The operator's own DNS zone.", help_format="plaintext")
messages = App(name="messages", help="What was accepted, and the whole story of each message.", help_format="plaintext")
queue = App(name="queue", help="What waits, why, since when and until when.", help_format="plaintext")

_RECORD = [("status", "Status"), ("type", "Type"), ("domain", "Name"), ("value", "Value"), ("sentence", "")]


def register(app: App) -> None:
    for noun in (domains, dns, messages, queue):
        app.command(noun)


@domains.command
def add(domain: str, where: Where = HERE, *, json: Json = False) -> None:
    """Add a sending domain, make its keys, and show the records to publish."""
    result = call(where.load(), "domains.add", domain=domain)
    if json:
        show.as_json(result)
        return
    show.line(f"{result['domain']} {'is added' if result['added'] else 'was there already'}. Publish these records:")
    _records(result["records"])
    show.line(f"\nThen: mailferry domains verify {result['domain']}")


@domains.command(name="list")
def list_(where: Where = HERE, *, json: Json = False) -> None:
    """All sending domains and their states."""
    result = call(where.load(), "domains.list")
    columns = [("domain", "Domain"), ("state", "State"), ("dns_verified", "DNS right"), ("hold_reason", "Held because")]
    show.as_json(result) if json else show.table(result, columns, "No domains.")


@domains.command
def records(domain: str, where: Where = HERE, *, json: Json = False) -> None:
    """The DNS records that a domain publishes."""
    result = call(where.load(), "domains.records", domain=domain)
    show.as_json(result) if json else _records(result)


@domains.command
def verify(domain: str, where: Where = HERE, *, json: Json = False) -> int:
    """Ask DNS, and say record by record what is missing, wrong or right. Exit status 1 while it is not verified."""
    result = call(where.load(), "domains.verify", domain=domain)
    if json:
        show.as_json(result)
    else:
        show.table(result["records"], _RECORD, "")
        show.line(f"\n{result['domain']}: {_verified(result)}")
    return 0 if result["dns_verified"] else 1


@domains.command
def approve(domain: str, where: Where = HERE, *, json: Json = False) -> None:
    """End a domain's review or suspension: what was held for it leaves."""
    result = call(where.load(), "domains.approve", domain=domain)
    show.as_json(result) if json else show.line(
        f"{result['domain']} is approved; {result['released']} held recipients leave."
    )


@domains.command
def suspend(domain: str, where: Where = HERE, *, json: Json = False) -> None:
    """Hold a domain's mail until it is approved again. Nothing is refused or lost."""
    result = call(where.load(), "domains.suspend", domain=domain)
    show.as_json(result) if json else show.line(f"{result['domain']} is suspended; its mail is accepted and held.")


@domains.command
def remove(domain: str, where: Where = HERE, *, json: Json = False) -> None:
    """Remove a domain; its mail is refused from now on."""
    result = call(where.load(), "domains.remove", domain=domain)
    show.as_json(result) if json else show.line(f"{result['removed']} is removed.")


@dns.command
def export(where: Where = HERE) -> None:
    """Print the zone file of [dns] zone: what the CNAMEs of all sending domains point at."""
    print(call(where.load(), "dns.export")["zone"], end="")


@messages.command(name="list")
def list_messages(
    where: Where = HERE,
    *,
    state: Annotated[str, Parameter(help="Only this state, e.g. bounced.")] = "",
    to: Annotated[str, Parameter(help="Part of the recipient's address.")] = "",
    sender: Annotated[str, Parameter(name="--from", help="Part of the sender's address.")] = "",
    limit: Annotated[int, Parameter(help="At most this many.")] = 50,
    json: Json = False,
) -> None:
    """The newest messages, one line a recipient."""
    result = call(where.load(), "messages.list", state=state, to=to, sender=sender, limit=limit)
    columns = [
        ("id", "Id"),
        ("accepted_at", "Accepted"),
        ("state", "State"),
        ("to", "To"),
        ("subject", "Subject"),
        ("reason", ""),
    ]
    show.as_json(result) if json else show.table(result, columns, "No messages.")


@messages.command(name="show")
def show_message(message: str, where: Where = HERE, *, json: Json = False) -> None:
    """One message's whole story, by its id or by the id that the client was given for a recipient."""
    result = call(where.load(), "messages.show", message=message)
    show.as_json(result) if json else _story(result)


@queue.default
def list_queue(
    where: Where = HERE,
    *,
    limit: Annotated[int, Parameter(help="Rows shown, the oldest first.")] = 50,
    json: Json = False,
) -> None:
    """What waits, why, since when and until when."""
    result = call(where.load(), "queue.list", limit=limit)
    if json:
        show.as_json(result)
        return
    columns = [
        ("to", "To"),
        ("state", "State"),
        ("why", "Why"),
        ("since", "Since"),
        ("next_attempt", "Next attempt"),
        ("until", "Until"),
    ]
    show.table(result["oldest"], columns, "Nothing waits.")
    for each in result["waiting"]:
        show.line(f"\n{each['recipients']} {each['state']}{': ' + each['reason'] if each['reason'] else ''}")


def _records(found: list[dict[str, Any]]) -> None:
    columns = [("type", "Type"), ("domain", "Name"), ("value", "Value"), ("required", "Required"), ("purpose", "For")]
    forms = {"zone": "In your zone ([dns] zone):", "anywhere": "Or, without the zone:", None: ""}
    for form, title in forms.items():
        rows = [record for record in found if record.get("form") == form]
        if rows:
            if title:
                show.heading(title)
            show.table(rows, columns, "")


def _verified(result: dict[str, Any]) -> str:
    if not result["dns_verified"]:
        return "not verified yet; mend the records above and verify again (DNS may need some minutes)"
    if result["state"] == "under_review":
        return f"verified, and under review: it sends a limited number an hour until: mailferry domains approve {result['domain']}"
    return f"verified, {result['state']}"


def _story(story: dict[str, Any]) -> None:
    names = ("message_id", "rfc_message_id", "from", "subject", "stream", "endpoint", "category", "size", "accepted_at")
    show.facts([(name.replace("_", " "), story[name]) for name in names])
    for recipient in story["recipients"]:
        show.heading(f"{recipient['to']} ({recipient['id']})")
        show.facts([(name, recipient[name]) for name in ("state", "reason", "attempts")])
        happened = [{**event, "what": event["kind"], "heard": _heard(event)} for event in recipient["events"]]
        show.table(happened, [("at", "When"), ("what", "Event"), ("host", "Host"), ("heard", "")], "")


def _heard(event: dict[str, Any]) -> str:
    parts = (event.get("code") or "", event.get("enhanced", ""), event.get("response", ""), event.get("reason", ""))
    return " ".join(str(part) for part in parts if part)
