"""``mailferry domains review|ask|say|approve|reject|suspend``: the review of a sending domain by the operator."""

from collections.abc import Iterable
from typing import Annotated, Any

from cyclopts import App, Parameter

from mailferry.cli import show
from mailferry.cli.options import HERE, Account, Flag, Json, Where
from mailferry.cli.reach import call
from mailferry.cli.show import Column
from mailferry.resources.domains import DEMO

Domain = Annotated[str, Parameter(help="The domain, e.g. example.com.")]
Reason = Annotated[str, Parameter(show_default=False, help="Why; who keeps the domain reads it in the review.")]


def register(domains: App) -> None:
    for command in (review, ask, say, approve, reject, suspend):
        # Else it is called ARGS there.
        usage = "Usage: mailferry domains ask [OPTIONS] DOMAIN [QUESTIONS...]" if command is ask else None
        domains.command(command, usage=usage)


def review(domain: Domain, /, *, where: Where = HERE, account: Account = 0, json: Json = False) -> None:
    """Show all that a decision needs: who stands behind a domain, its records, questions, answers, thread."""
    result = call(where.load(), "domains.review", domain=domain, account=account)
    show.as_json(result) if json else _review(result)


def ask(
    domain: Domain,
    /,
    *questions: Annotated[str, Parameter(help="What is to be answered, one argument each.")],
    where: Where = HERE,
    account: Account = 0,
    company_info: Annotated[bool, Flag, Parameter(help="Ask who stands behind the domain, too.")] = False,
    json: Json = False,
) -> None:
    """Ask whoever keeps a domain. While it is under review its state shows what is waited for; its mail goes on."""
    result = call(
        where.load(), "domains.ask", domain=domain, account=account, questions=questions, company_info=company_info
    )
    show.as_json(result) if json else show.line(f"{result['domain']}: asked; its state is {result['state']}.")


def say(
    domain: Domain,
    text: Annotated[str, Parameter(help="The message.")],
    /,
    *,
    where: Where = HERE,
    account: Account = 0,
    json: Json = False,
) -> None:
    """Write a message to whoever keeps a domain; it stands in the review."""
    result = call(where.load(), "domains.say", domain=domain, account=account, text=text)
    show.as_json(result) if json else show.line(f"{result['domain']}: said.")


def approve(
    domain: Domain, /, *, where: Where = HERE, account: Account = 0, reason: Reason = "", json: Json = False
) -> None:
    """End a domain's review or suspension: what was held for it leaves."""
    result = call(where.load(), "domains.approve", domain=domain, account=account, reason=reason)
    text = f"{result['domain']} is approved; {_number(result['released'], 'held recipient')} may leave now."
    show.as_json(result) if json else show.line(text)


def reject(
    domain: Domain, /, *, where: Where = HERE, account: Account = 0, reason: Reason = "", json: Json = False
) -> None:
    """End a domain's review with no: its mail is refused until it is approved after all."""
    result = call(where.load(), "domains.reject", domain=domain, account=account, reason=reason)
    text = f"{result['domain']} is rejected; its mail is refused, and what was accepted before is held."
    show.as_json(result) if json else show.line(text)


def suspend(
    domain: Domain, /, *, where: Where = HERE, account: Account = 0, reason: Reason = "", json: Json = False
) -> None:
    """Hold a domain's mail until it is approved again. Nothing is refused or lost."""
    result = call(where.load(), "domains.suspend", domain=domain, account=account, reason=reason)
    show.as_json(result) if json else show.line(f"{result['domain']} is suspended; its mail is accepted and held.")


def _review(result: dict[str, Any]) -> None:
    right = "not needed" if result["state"] == DEMO else result["dns_verified"]
    facts = [("domain", result["domain"]), ("state", result["state"]), ("DNS right", right)]
    if result["suspicious"]:
        facts.append(("suspicious", "deleted and added again while it was not approved"))
    show.facts([*facts, ("held because", result["hold_reason"])])
    show.heading("Company info")
    if result["company_info"]:
        show.facts([(name.replace("_", " "), text) for name, text in _flat(result["company_info"].items())])
    else:
        show.line("Not given.")
    show.heading("Records at the last look")
    for key, status in result["records"].items():
        show.marked(f"{status:<14}", key)
    if not result["records"]:
        show.line("Nobody has looked yet.")
    show.heading("Questions")
    asked = [
        {**each, "question": _line(each["question"]), "answer": _line(each["answer"])} for each in result["questions"]
    ]
    columns = [Column("id", "No."), Column("question", "Question", folds=True), Column("answer", "Answer", folds=True)]
    show.table(asked, columns, "None.")
    show.heading("Thread")
    said = [{**each, "at": show.moment(each["at"]), "text": _line(each["text"])} for each in result["messages"]]
    columns = [Column("at", "When (UTC)"), Column("name", "Who", folds=True), Column("text", "", folds=True)]
    show.table(said, columns, "Nothing was said.")


def _flat(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, _line(text)) for name, text in pairs]


def _line(text: str) -> str:
    return " ".join(text.split())


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
