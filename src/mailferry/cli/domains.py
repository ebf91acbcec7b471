"""``mailferry domains``: sending domains added, their records published and verified, reviewed, removed."""

from typing import Annotated, Any

from cyclopts import Parameter

from mailferry import credentials
from mailferry.cli import card, reviews, show
from mailferry.cli.nouns import noun
from mailferry.cli.options import HERE, Account, ForAccount, Json, OfAccount, Where
from mailferry.cli.reach import call
from mailferry.cli.show import Column
from mailferry.credentials import ACCOUNT
from mailferry.resources.domains import DEMO, IN_REVIEW, NON_COMPLIANT, UNDER_REVIEW, UNVERIFIED

domains = noun("domains")

#: What a state means for new mail, where that is not plain.
REMARKS = {
    DEMO: "sends to its simulator only",
    UNVERIFIED: "mail is refused until its records are right",
    NON_COMPLIANT: "mail is refused",
}

Domain = Annotated[str, Parameter(help="The domain, e.g. example.com.")]


@domains.command
def add(domain: Domain, /, *, where: Where = HERE, account: ForAccount = ACCOUNT, json: Json = False) -> None:
    """Add a sending domain, make its keys, and show the records to publish."""
    config = where.load()
    result = call(config, "domains.add", domain=domain, account=account)
    if json:
        show.as_json(result)
        return
    if not result["records"]:
        show.line(_demo(result["domain"]))
        return
    show.line(f"{result['domain']} {'is added' if result['added'] else 'was there already'}. Publish these records:")
    _records(result["records"])
    show.line(f"\nThen: {card.command(config, 'domains verify ' + result['domain'])}")


@domains.command(name="list")
def list_(*, where: Where = HERE, account: OfAccount = 0, json: Json = False) -> None:
    """Show all sending domains and their states, of every account or of one; Level: of their bounces and complaints."""
    result = call(where.load(), "domains.list", account=account)
    level = [Column("level", "Level")] if any(each["deliverability"] for each in result) else []
    columns = [
        *show.account_column(result),
        Column("domain", "Domain"),
        Column("state", "State"),
        Column("dns", "DNS right"),
        *level,
        Column("remark", "", folds=True),
    ]
    show.as_json(result) if json else show.table([_row(each) for each in result], columns, "No domains.")


@domains.command
def records(domain: Domain, /, *, where: Where = HERE, account: Account = 0, json: Json = False) -> None:
    """Show the DNS records that a domain publishes."""
    result = call(where.load(), "domains.records", domain=domain, account=account)
    if json:
        show.as_json(result)
    elif result:
        _records(result)
    else:
        show.line(_demo(domain))


@domains.command
def verify(domain: Domain, /, *, where: Where = HERE, account: Account = 0, json: Json = False) -> int:
    """Ask DNS, and say record by record what is missing, wrong or right. The exit status is 1 until all is right."""
    config = where.load()
    result = call(config, "domains.verify", domain=domain, account=account)
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
def remove(domain: Domain, /, *, where: Where = HERE, account: Account = 0, json: Json = False) -> None:
    """Remove a domain; its mail is refused from now on."""
    result = call(where.load(), "domains.remove", domain=domain, account=account)
    show.as_json(result) if json else show.line(f"{result['removed']} is removed.")


def _row(domain: dict[str, Any]) -> dict[str, Any]:
    remark = f"mail is held: {domain['hold_reason']}" if domain["hold_reason"] else ""
    told = {"dns": domain["dns_verified"], "remark": REMARKS.get(domain["state"], remark)}
    told["level"] = (domain["deliverability"] or {}).get("level", "")
    return {**domain, **told, **({"dns": "not needed"} if domain["state"] == DEMO else {})}


def _demo(domain: str) -> str:
    return (
        f"{domain} is the demo domain: it needs no DNS records, since its mail goes to its simulator only "
        f"(success@, bounce@ and softbounce@{credentials.SIMULATOR_DOMAIN})."
    )


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
    optional = "" if record["required"] else " (optional)"
    show.marked(f"{record['status']:<14}", f"{record['type']:<6}{record['domain']}{optional}")
    # The sentence repeats what a stranger's DNS said. Mostly it ends with what to publish; of long values with a part.
    sentence, value = record["sentence"], record["value"]
    show.marked(f"{'':14}", sentence)
    if record["status"] != "pass" and not sentence.endswith((f"{value}.", f'{value}".')):
        show.marked(f"{'':14}", f"Wanted: {value}")


def _verified(result: dict[str, Any], approve_command: str) -> str:
    if not result["dns_verified"]:
        return "not verified yet; mend the records above and verify again (DNS may need some minutes)"
    if result["state"] in IN_REVIEW:
        waits = "" if result["state"] == UNDER_REVIEW else f" ({result['state']})"
        return f"verified, and under review{waits}: it sends a limited number an hour until: {approve_command}"
    return f"verified, {result['state']}"


reviews.register(domains)
