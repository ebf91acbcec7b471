"""What the sandbox's checks found, in Mailtrap's shapes."""

from typing import Any

from mailferry.sandbox.checks.blocklists import Report
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


def blacklists_report_info(report: Report | None) -> dict[str, Any] | bool:
    """The member of a message; `None`: it was not asked for yet. False where no lists are configured, as Mailtrap says
    where its plan has none. `status` and `details` of a list are members of our own: a list that gives no answer is not
    one that has nothing against the sender.
    """
    if report is None:
        return {"result": "pending", "domain": "", "ip": "", "report": []}
    if report.result == "off":
        return False
    return {
        "result": report.result,
        "domain": report.domain,
        "ip": report.ip,
        "report": [
            {
                "name": each.zone.name,
                "url": each.zone.url,
                "in_black_list": each.state == "listed",
                "status": each.state,
                "details": each.sentence,
            }
            for each in report.listings
        ],
        **({"message": report.problem} if report.problem else {}),
    }
