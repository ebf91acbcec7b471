"""What the sandbox's checks found, in Mailtrap's shapes."""

from typing import Any

from mailferry.sandbox.checks.spam.verdict import Verdict


def spam_report(verdict: Verdict) -> dict[str, Any]:
    """The `report` of `.../messages/{id}/spam_report`; where nobody could judge, its code and message say so.

    `Pts` is a string with one digit, as Mailtrap answers, whatever its contract says. `Engine` is a member of our own.
    """
    return {
        "ResponseCode": verdict.code,
        "ResponseMessage": verdict.message,
        "ResponseVersion": verdict.version,
        "Score": verdict.score,
        "Spam": verdict.is_spam,
        "Threshold": verdict.threshold,
        "Details": [
            {"Pts": f"{symbol.points:.1f}", "RuleName": symbol.name, "Description": symbol.description}
            for symbol in verdict.symbols
        ],
        "Engine": verdict.engine,
    }
