"""Mail that Mailferry itself has to send to those who keep an account, over THE way in like everybody else's."""

from mailferry.first_run import OWNER_EMAIL
from mailferry.intake.accept import Intake
from mailferry.intake.submission import Once, Rcpt, Refused, Submission
from mailferry.mail.address import Mailbox
from mailferry.mail.compose import Content
from mailferry.resources import domains, users
from mailferry.resources.domains import Domain
from mailferry.resources.system_mail import ENDPOINT, Mail
from mailferry.store.database import Database

NO_SENDER = "no domain of the account is verified and approved, and it is sent from one"
NO_RECIPIENT = "the account has no owner with an address of its own, and the domain no alert_recipient_email"


class SystemMail:
    def __init__(self, database: Database, intake: Intake) -> None:
        self._database = database
        self._intake = intake

    async def send(self, mail: Mail) -> str:
        """From the account's oldest approved domain; why not, or nothing when it was accepted, now or before."""
        sender = await self._database.read(lambda c: domains.first_compliant(c, mail.account_id))
        recipients = [mail.recipient] if mail.recipient else await self._owners(mail.account_id)
        if sender is None or not recipients:
            return NO_RECIPIENT if sender else NO_SENDER
        once = Once(mail.account_id, ENDPOINT, mail.key, mail.key, lambda results: "")
        results = await self._intake.accept([_submission(mail, sender, recipients)], once)
        refused = [each for each in results if isinstance(each, Refused)] if isinstance(results, list) else []
        return "; ".join(f"{refusal.field} {refusal.reason}".strip() for each in refused for refusal in each.refusals)

    async def _owners(self, account_id: int) -> list[str]:
        found = await self._database.read(lambda c: users.owners(c, account_id))
        # The first start's invention: nobody reads it, and mail to it would bounce.
        return [email for email in found if email != OWNER_EMAIL]


def _submission(mail: Mail, sender: Domain, recipients: list[str]) -> Submission:
    return Submission(
        account_id=mail.account_id,
        token_id=0,
        sender_domains=frozenset({sender.id}),
        endpoint=ENDPOINT,
        stream="transactional",
        recipients=tuple(Rcpt(each) for each in recipients),
        content=Content(
            sender=Mailbox(f"mailer@{sender.name}", "Mailferry"),
            to=tuple(Mailbox(each) for each in recipients),
            subject=mail.subject,
            text=mail.text,
        ),
    )
