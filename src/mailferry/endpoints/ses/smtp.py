"""SES's SMTP interface behind its dialogue, which endpoints/smtp holds: SendRawEmail to the recipients of the envelope."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from mailferry.endpoints.ses import sending
from mailferry.endpoints.ses.deps import Call, Deps
from mailferry.endpoints.ses.errors import SesError
from mailferry.resources.access_keys import AccessKey

#: What `Call.denied` says, and what the SMTP interface says (SES developer guide, "smtp-response-codes").
_DENIED = re.compile(r"User: (\S+) is not authorized to perform: \S+ on resource: (\S+)")
_DENIED_BY_SMTP = r"User `\1' is not authorized to perform `ses:SendRawEmail' on resource `\2'"


@dataclass(frozen=True, slots=True)
class Outcome:
    """An id of SES's form, or v1's error."""

    message_id: str = ""
    code: str = ""
    text: str = ""


class SmtpInterface:
    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def send(
        self, key: AccessKey, region: str, client_ip: str, sender: str, recipients: Sequence[str], message: bytes
    ) -> Outcome:
        """``region``: the one that the password is for."""
        request_id = str(uuid4())
        call = Call(self._deps, key, region, "ses", "SendSmtpEmail", request_id, client_ip, endpoint="ses_smtp")
        params = {"Source": sender, "Destinations": recipients, "RawMessage": {"Data": message}}
        try:
            answer = await sending.send_raw_email_v1(call, params)
        except SesError as error:
            text = _DENIED.sub(_DENIED_BY_SMTP, error.message or "")
            self._deps.log.info("ses_refused", request_id=request_id, code=error.code, reason=text[:200])
            return Outcome(code=error.code, text=text)
        assert answer
        return Outcome(answer["MessageId"])
