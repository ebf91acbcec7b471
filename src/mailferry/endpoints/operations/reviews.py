"""The review of a sending domain as the operator sees it: what is known, asked and said, and what is decided."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mailferry.endpoints.operations.domains import domain_of, shown
from mailferry.endpoints.operations.lookups import let_go
from mailferry.endpoints.operations.reading import iso
from mailferry.endpoints.operations.tools import OPERATOR, Mistake, Tools, Verb
from mailferry.resources import company_infos, domain_reviews, domains
from mailferry.resources.domain_reviews import Review
from mailferry.resources.domains import Domain

#: Characters of what is asked or said.
LONGEST = 5000


async def domains_review(tools: Tools, domain: str, account: int = 0) -> dict[str, Any]:
    """All that a decision needs: the domain, who stands behind it, its records at the last look, answers and thread."""
    found = await domain_of(tools, domain, account)
    info = await tools.database.read(lambda connection: company_infos.of_domain(connection, found))
    review = await tools.database.read(lambda connection: domain_reviews.of_domain(connection, found.id))
    about = {"company_info": asdict(info) if info else None, "records": dict(found.statuses)}
    return shown(found) | about | _told(review)


async def domains_ask(
    tools: Tools, domain: str, questions: Sequence[str] = (), company_info: bool = False, account: int = 0
) -> dict[str, Any]:
    found = await _real(tools, domain, account)
    asked = [_text(question) for question in questions]
    if not asked and not company_info:
        raise Mistake("nothing is asked: give questions, or --company-info")
    now = tools.clock()
    await tools.database.write(
        lambda c: domain_reviews.ask(c, found, OPERATOR, now, questions=asked, company_info=company_info)
    )
    return await _after(tools, found)


async def domains_say(tools: Tools, domain: str, text: str, account: int = 0) -> dict[str, Any]:
    found, said, now = await _real(tools, domain, account), _text(text), tools.clock()
    await tools.database.write(lambda connection: domain_reviews.say(connection, found, said, OPERATOR, now))
    return await _after(tools, found)


async def domains_approve(tools: Tools, domain: str, reason: str = "", account: int = 0) -> dict[str, Any]:
    """End the review (or a suspension): all that was held for it leaves."""
    found = await _real(tools, domain, account)
    if not found.verified_at:
        raise Mistake(
            f"{found.name} was never verified; publish its records, then: mailferry domains verify {found.name}"
        )
    await _decide(tools, found, domains.COMPLIANT, reason)
    released = await let_go(tools, found.id) if found.dns_verified else 0
    return await _after(tools, found) | {"released": released}


async def domains_reject(tools: Tools, domain: str, reason: str = "", account: int = 0) -> dict[str, Any]:
    """Its mail is refused from now on; what was accepted before is held."""
    found = await _real(tools, domain, account)
    await _decide(tools, found, domains.NON_COMPLIANT, reason)
    return await _after(tools, found)


async def domains_suspend(tools: Tools, domain: str, reason: str = "", account: int = 0) -> dict[str, Any]:
    """Its mail is accepted and held until it is approved again."""
    found = await _real(tools, domain, account)
    if not found.verified_at:
        raise Mistake(f"{found.name} was never verified: its mail is refused as it is")
    await _decide(tools, found, domains.SUSPENDED, reason)
    return await _after(tools, found)


VERBS: dict[str, Verb] = {
    "domains.review": domains_review,
    "domains.ask": domains_ask,
    "domains.say": domains_say,
    "domains.approve": domains_approve,
    "domains.reject": domains_reject,
    "domains.suspend": domains_suspend,
}


async def _decide(tools: Tools, domain: Domain, state: str, reason: str) -> None:
    said, now = _text(reason) if reason else "", tools.clock()
    await tools.database.write(lambda c: domain_reviews.decide(c, domain, state, OPERATOR, now, said))
    tools.book.forget()


async def _real(tools: Tools, domain: str, account: int) -> Domain:
    found = await domain_of(tools, domain, account)
    if found.state == domains.DEMO:
        raise Mistake(f"{found.name} is the demo domain and has no review; remove it when it is not wanted any more")
    return found


async def _after(tools: Tools, domain: Domain) -> dict[str, Any]:
    tools.book.forget()
    return shown(await domain_of(tools, domain.name, domain.account_id))


def _text(text: str) -> str:
    found = text.strip()
    if not found or len(found) > LONGEST:
        raise Mistake(f"a text of 1 to {LONGEST} characters is wanted, and this one has {len(found)}")
    return found


def _told(review: Review) -> dict[str, Any]:
    return {
        "questions": [
            {
                "id": each.id,
                "question": each.question,
                "answer": each.answer,
                "asked_at": iso(each.asked_at),
                "answered_at": iso(each.answered_at) if each.answered_at else None,
            }
            for each in review.questions
        ],
        "messages": [
            {"at": iso(each.at), "by": each.author_type, "name": each.author_name, "text": each.text}
            for each in review.messages
        ],
    }
