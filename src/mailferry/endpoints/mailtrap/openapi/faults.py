"""How an inbox misbehaves on purpose."""

from mailferry.endpoints.mailtrap import inbox_faults
from mailferry.endpoints.mailtrap.inbox_faults import LONGEST, MOST_COUNT, MOST_TEXT
from mailferry.endpoints.mailtrap.openapi.declaration import Asked, Declared, enveloped
from mailferry.endpoints.mailtrap.openapi.schemas import Component, array, asked, choice, integer, number, text
from mailferry.endpoints.mailtrap.table import Function
from mailferry.sandbox.faults import LONGEST_DELAY, MOST_RULES, Action, Stage

_PATTERN = text(maxLength=LONGEST)
_TIMES = integer(minimum=1, maximum=MOST_COUNT)
_RULE = Component(
    "FaultRule",
    asked(
        {
            "stage": choice(Stage, "The command of SMTP at which a message is met; `api`: a request to send."),
            "action": choice(Action),
            "code": integer("Of the refusal: SMTP's reply, or the HTTP status.", minimum=400, maximum=599),
            "enhanced": text("Of SMTP (RFC 3463).", pattern=r"^[45]\.[0-9]{1,3}\.[0-9]{1,3}$"),
            "text": text(maxLength=MOST_TEXT),
            "seconds": number("Of a delay.", minimum=0, maximum=LONGEST_DELAY),
            **dict.fromkeys(("sender", "recipient", "subject"), _PATTERN),
            "chance": number("From the seed and the number of the match.", minimum=0, maximum=1),
            "first": {**_TIMES, "description": "Only so many of those that match."},
            "nth": {**_TIMES, "description": "Only this one of them."},
            "every": {**_TIMES, "description": "Each so-manieth of them."},
        },
        "stage",
        "action",
    ),
)
_SEED = integer(minimum=0)
_FAULTS = Component("Faults", asked({"seed": _SEED, "rules": array(_RULE, maxItems=MOST_RULES)}, "rules"))
_EXAMPLE = {"rules": [{"stage": "rcpt", "action": "reject", "code": 451, "enhanced": "4.7.1", "first": 1}]}

DECLARED: dict[Function, Declared] = {
    inbox_faults.get_one: Declared("Show how an inbox misbehaves", {200: enveloped(_FAULTS)}, ours=True),
    inbox_faults.replace: Declared(
        "Have an inbox misbehave",
        {200: enveloped(_FAULTS)},
        Asked(_FAULTS, example=_EXAMPLE),
        about="All of its rules are replaced, and what was counted for them begins anew.",
        ours=True,
    ),
    inbox_faults.delete: Declared("Have an inbox behave", {200: enveloped(_FAULTS)}, ours=True),
}
