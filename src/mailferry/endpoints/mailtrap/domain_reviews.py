"""`.../sending_domains/{id}/review`: what the operator asks of whoever keeps a domain, and the answers.

Ours: Mailtrap has its questionnaire and its support tickets on pages only.
"""

from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.domains import moment, visible
from mailferry.endpoints.mailtrap.errors import Fault, answer
from mailferry.endpoints.mailtrap.forms import Form, invalid, members, refuse
from mailferry.resources import domain_reviews, domains
from mailferry.resources.permissions import ADMIN

#: Characters of an answer or a message.
LONGEST = 5000


async def get_one(call: Call) -> Response:
    domain = await visible(call)
    return answer(await call.read(lambda connection: _shown(connection, domain.id, domain.state)))


async def reply(call: Call) -> Response:
    """Answers, a message, or both."""
    domain = await visible(call, ADMIN)
    form = Form(await members(call))
    answers = dict(form.items("answers", _answer))
    message = form.text("message", most=LONGEST, lines=True).strip()
    if not answers and not message and not form.errors:
        form.wrong("base", "Answers or a message must be given")
    form.check()
    now = call.deps.clock()

    def write(connection: Connection) -> Any:
        if unknown := domain_reviews.answer(connection, domain, answers, call.actor, now):
            return unknown
        if message:
            domain_reviews.say(connection, domain, message, call.actor, now)
        found = domains.by_id(connection, domain.id)
        return _shown(connection, domain.id, found.state) if found else Fault.NOT_FOUND

    outcome = await call.write(write)
    if isinstance(outcome, Fault):
        refuse(call, outcome)
    if isinstance(outcome, set):
        invalid({"answers": [f"{number} is no question of this domain" for number in sorted(outcome)]})
    call.deps.forget_domains()
    return answer(outcome)


def _answer(form: Form) -> tuple[int, str]:
    number = form.number("id")
    if number is None and "id" not in form.errors:
        form.wrong("id", "can't be blank")
    return number or 0, form.text("answer", least=1, most=LONGEST, lines=True).strip()


def _shown(connection: Connection, domain_id: int, state: str) -> dict[str, Any]:
    review = domain_reviews.of_domain(connection, domain_id)
    return {
        "data": {
            "compliance_status": state,
            "questions": [
                {
                    "id": each.id,
                    "question": each.question,
                    "answer": each.answer or None,
                    "asked_at": moment(each.asked_at),
                    "answered_at": moment(each.answered_at) if each.answered_at else None,
                }
                for each in review.questions
            ],
            "messages": [
                {"author": each.author_type, "author_name": each.author_name, "text": each.text, "at": moment(each.at)}
                for each in review.messages
            ],
        }
    }
