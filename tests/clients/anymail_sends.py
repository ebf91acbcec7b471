"""A Django program as a user of django-anymail would have it: Mailtrap's backend, and of its settings the API's URL alone.

Prints as JSON what anymail says became of each message: address -> [status, message id].
"""

import json
import sys
from email.mime.image import MIMEImage
from typing import Any

import django
from anymail.exceptions import AnymailAPIError
from anymail.message import AnymailMessage
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection, send_mail

GIF = bytes.fromhex("47494638396101000100000000 002c00000000010001000002004c01003b".replace(" ", ""))
told: dict[str, list[Any]] = {}


def tell(message: Any) -> None:
    recipients = message.anymail_status.recipients.items()
    told.update({address: [status.status, status.message_id] for address, status in recipients})


def single(sender: str) -> None:
    """All that a message can have."""
    message = AnymailMessage(
        "Größe & Preis",
        "Grüße",
        f"Laden Köln <{sender}>",
        ["Ann <ann@dest.test>", "bob@dest.test"],
        cc=["Carl C. <carl@dest.test>"],
        bcc=["dora@dest.test"],
        reply_to=["Hilfe für alle <help@dest.test>", "Other <other@dest.test>"],
        headers={"X-Order": "é 42", "List-Unsubscribe": "<https://shop.test/u>"},
        tags=["orders"],
        metadata={"user": 7, "plan": "gold"},
    )
    message.attach("Bericht.csv", "a;b\n", "text/csv")
    message.attach_alternative(
        f'<p>Gruß <img src="cid:{message.attach_inline_image(GIF, "dot.gif")}"></p>', "text/html"
    )
    message.send()
    tell(message)


def plain(sender: str) -> None:
    """Django's own functions: one message, one of MIME parts, and several over one connection."""
    assert send_mail("Plain", "plain", sender, ["plain@dest.test"], html_message="<p>plain</p>") == 1
    inline = EmailMultiAlternatives("Image", "image", sender, ["image@dest.test"], reply_to=["help@dest.test"])
    image = MIMEImage(GIF)
    image.add_header("Content-Disposition", "inline")
    image.add_header("Content-ID", "<dot>")
    inline.attach(image)
    with get_connection() as connection:
        others = [AnymailMessage("Other", str(n), sender, [f"other{n}@dest.test"]) for n in range(3)]
        assert connection.send_messages([inline, *others]) == 4
    for message in (inline, *others):
        tell(message)


def bulk(sender: str) -> None:
    """merge_data and merge_metadata: the batch endpoint, with a copy for each."""
    message = AnymailMessage("Batch", "batch", sender, ["e@dest.test", "Frank <f@dest.test>"], bcc=["copy@dest.test"])
    message.metadata = {"plan": "gold", "user": 0}
    message.merge_metadata = {"e@dest.test": {"user": 1}, "f@dest.test": {"user": 2}}
    message.merge_headers = {"e@dest.test": {"X-Order": "1"}}
    message.send()
    tell(message)


def by_template(sender: str, template: str) -> None:
    """Of a template, to one and to many; what the backend does not know goes by esp_extra."""
    one = AnymailMessage("", "", sender, ["template@dest.test"], template_id=template)
    one.merge_global_data = {"name": "Tom & Ö"}
    one.send()
    tell(one)
    many = AnymailMessage("", "", sender, ["g@dest.test", "h@dest.test"])
    many.merge_global_data, many.merge_data = {"name": "all"}, {"g@dest.test": {"name": "Gil"}, "h@dest.test": {}}
    many.esp_extra = {"template_uuid": template}
    many.send()
    tell(many)


def refused(sender: str) -> None:
    try:
        AnymailMessage("Not ours", "x", "app@elsewhere.test", ["never@dest.test"]).send()
        sys.exit("a foreign domain was taken")
    except AnymailAPIError as error:
        assert error.status_code == 401 and "Unauthorized" in error.response.text, error
    batch = AnymailMessage("Batch", "", sender, ["i@dest.test"])
    batch.merge_data = {}
    batch.send()  # refused as an item: anymail says so in its status
    tell(batch)


def main(url: str, token: str, sender: str, template: str) -> None:
    settings.configure(
        EMAIL_BACKEND="anymail.backends.mailtrap.EmailBackend",
        ANYMAIL={"MAILTRAP_API_TOKEN": token, "MAILTRAP_API_URL": url},
    )
    django.setup()
    single(sender)
    plain(sender)
    bulk(sender)
    by_template(sender, template)
    refused(sender)
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
