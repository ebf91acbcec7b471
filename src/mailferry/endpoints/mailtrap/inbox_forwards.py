"""`POST .../messages/{id}/forward`: a caught message is sent on, to one of the account's people, who have confirmed their address."""

from collections.abc import Sequence

from starlette.responses import Response

from mailferry.endpoints.bodies import aside
from mailferry.endpoints.mailtrap.deps import Call
from mailferry.endpoints.mailtrap.errors import Fault, answer, texts
from mailferry.endpoints.mailtrap.forms import Form, invalid, members, refuse
from mailferry.endpoints.mailtrap.inbox_messages import existing
from mailferry.intake.refusal import Refusal
from mailferry.intake.submission import Rcpt, Refused, Submission
from mailferry.mail import address
from mailferry.resources import domains, users
from mailferry.resources.permissions import VIEWER_PLUS
from mailferry.sandbox import inbox
from mailferry.sandbox.forward import forwarded
from mailferry.sandbox.inbox import Caught
from mailferry.store.content import ContentGone

DONE = "Your email message has been successfully forwarded"
NO_SENDER = "no domain of the account is verified and approved, and it is sent from one"
UNCONFIRMED = "is not confirmed: only people of this account are forwarded to"
ENDPOINT = "sandbox"


async def forward(call: Call) -> Response:
    caught = await existing(call, VIEWER_PLUS)
    form = Form(await members(call))
    recipient = form.email("email")
    form.check()
    if address.key(recipient) not in await _confirmed(call):
        invalid({"email": [UNCONFIRMED]})
    refusals = await _send(call, caught, recipient)
    if refusals:
        invalid({"base": texts(refusals)})
    await call.write(lambda c: inbox.note_forwarded(c, caught.inbox_id))
    return answer({"success": True, "message": DONE})


async def _confirmed(call: Call) -> set[str]:
    """Whoever accepted an invitation read it there."""
    found = await call.read(lambda c: users.of_account(c, call.account_id))
    return {address.key(user.email) for user, _ in found}


async def _send(call: Call, caught: Caught, recipient: str) -> Sequence[Refusal]:
    sender = await call.read(lambda c: domains.first_compliant(c, call.account_id))
    if sender is None:
        invalid({"base": [NO_SENDER]})
    from_address = f"forward@{sender.name}"
    try:
        raw = await call.read(lambda connection: call.deps.captured.read(connection, caught.where))
    except ContentGone:  # it was deleted in this very moment
        refuse(call, Fault.NOT_FOUND)
    message = await aside(len(raw), lambda: forwarded(raw, from_address))
    submission = Submission(
        account_id=call.account_id,
        token_id=call.token.id,
        sender_domains=frozenset({sender.id}),
        endpoint=ENDPOINT,
        stream="transactional",
        recipients=(Rcpt(recipient),),
        raw=message,
        envelope_from=from_address,
        client_ip=call.client_ip,
    )
    results = await call.deps.intake.accept([submission])
    assert isinstance(results, list), "without an idempotency key there is nothing to replay"
    return results[0].refusals if isinstance(results[0], Refused) else ()
