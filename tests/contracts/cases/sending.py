"""Sending, in both streams."""

from tests.contracts.cases.case import Case, Request, case
from tests.contracts.cases.templates import kept_uuid
from tests.working_house import WorkingHouse, mail

_FILE = {"content": "aGVsbG8=", "filename": "a.txt", "type": "text/plain", "disposition": "inline", "content_id": "a"}
_BOX = {"email": "bob@dest.test", "name": "Bob"}
FULL = {
    "from": {"email": "app@a.test", "name": "App"},
    "to": [_BOX],
    "cc": [_BOX],
    "bcc": [_BOX],
    "reply_to": {"email": "re@a.test", "name": "Re"},
    "attachments": [_FILE],
    "headers": {"X-Order": "7"},
    "custom_variables": {"order": "7"},
}


@case("POST send")
async def send(house: WorkingHouse, legacy: bool) -> Case:
    plain = FULL | {"subject": "Hello", "category": "orders"}
    filled = FULL | {"template_uuid": await kept_uuid(house), "template_variables": {"name": "Bob"}}
    right = [plain | {"text": "Hi"}, plain | {"html": "<p>Hi</p>"}, plain | {"text": "Hi", "html": "<p>Hi</p>"}, filled]
    demo = mail(**{"from": {"email": "app@demo.test"}})
    return Case([Request(body=body) for body in right], {400: Request(body={"subject": ""}), 403: Request(body=demo)})


@case("POST batch")
async def batch(house: WorkingHouse, legacy: bool) -> Case:
    to = {name: FULL[name] for name in ("to", "cc", "bcc")}
    base = {name: value for name, value in FULL.items() if name not in to} | {"subject": "Hello", "category": "orders"}
    base |= {"text": "Hi", "html": "<p>Hi</p>"}
    filled = {"template_uuid": await kept_uuid(house), "template_variables": {"name": "Bob"}}
    shared = {name: value for name, value in base.items() if name not in ("subject", "text", "html", "category")}
    right = [
        {"base": base, "requests": [to, {"to": []}]},
        {"base": {}, "requests": [base | to, {}]},
        {"base": shared | filled, "requests": [to, {}]},
        {"base": {}, "requests": [shared | filled | to, {}]},
    ]
    return Case([Request(body=body) for body in right], {400: Request(body={"requests": []})})
