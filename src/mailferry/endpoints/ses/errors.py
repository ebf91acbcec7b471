"""What is wrong, said once; each codec spells it as its clients parse it (reference: the services' own models).

The code is that of SES v1 (`ConfigurationSetDoesNotExist`); v2 has fewer, and :data:`_V2` says which stands for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Spelling:
    """How v2 says it."""

    code: str
    status: int = 400


@dataclass(slots=True)
class SesError(Exception):
    """A refusal of any operation. ``status`` is v1's."""

    code: str
    message: str | None
    status: int = 400
    #: Modelled members beside the message, such as ``TemplateName``.
    members: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


_V2 = {
    "AccessDenied": Spelling("AccessDeniedException", 403),
    "AccountSendingPausedException": Spelling("SendingPausedException"),
    "AlreadyExists": Spelling("AlreadyExistsException"),
    "ConfigurationSetAlreadyExists": Spelling("AlreadyExistsException"),
    "ConfigurationSetDoesNotExist": Spelling("NotFoundException", 404),
    "ConfigurationSetSendingPausedException": Spelling("SendingPausedException"),
    "CustomVerificationEmailTemplateAlreadyExists": Spelling("AlreadyExistsException"),
    "CustomVerificationEmailTemplateDoesNotExist": Spelling("NotFoundException", 404),
    "EventDestinationAlreadyExists": Spelling("AlreadyExistsException"),
    "EventDestinationDoesNotExist": Spelling("NotFoundException", 404),
    "FromEmailAddressNotVerified": Spelling("NotFoundException", 404),
    "IncompleteSignature": Spelling("IncompleteSignatureException", 400),
    "InternalFailure": Spelling("InternalFailure", 500),
    "InvalidClientTokenId": Spelling("UnrecognizedClientException", 403),
    "LimitExceeded": Spelling("LimitExceededException"),
    "MailFromDomainNotVerifiedException": Spelling("MailFromDomainNotVerifiedException"),
    "MessageRejected": Spelling("MessageRejected"),
    "MissingAuthenticationToken": Spelling("MissingAuthenticationTokenException", 403),
    "NotFound": Spelling("NotFoundException", 404),
    "Conflict": Spelling("ConflictException", 409),
    "InvalidNextToken": Spelling("InvalidNextTokenException"),
    "RequestExpired": Spelling("InvalidSignatureException", 403),
    "SerializationException": Spelling("SerializationException", 400),
    "ServiceUnavailable": Spelling("ServiceUnavailable", 503),
    "SignatureDoesNotMatch": Spelling("InvalidSignatureException", 403),
    "TemplateDoesNotExist": Spelling("NotFoundException", 404),
    "Throttling": Spelling("TooManyRequestsException", 429),
    "UnknownOperationException": Spelling("UnknownOperationException", 404),
}
_BAD_REQUEST = Spelling("BadRequestException")


def v2_spelling(error: SesError) -> Spelling:
    return _V2.get(error.code, _BAD_REQUEST)


def invalid(message: str | None) -> SesError:
    """A value that cannot be: v1 InvalidParameterValue, v2 BadRequestException."""
    return SesError("InvalidParameterValue", message)


def validation(problems: list[str]) -> SesError:
    """What the service's model forbids, in AWS's words."""
    errors = "error" if len(problems) == 1 else "errors"
    return SesError("ValidationError", f"{len(problems)} validation {errors} detected: {'; '.join(problems)}")


def not_found(message: str, code: str = "NotFound") -> SesError:
    return SesError(code, message)


def rejected(message: str) -> SesError:
    return SesError("MessageRejected", message)


def unsupported(operation: str, why: str) -> SesError:
    """Neither 429 nor 5xx: clients would try those again and again."""
    return SesError("InvalidAction", f"Operation {operation} is not supported by Mailferry: {why}")
