"""A Django program with an SES backend, anymail's or django-ses's two, and of their settings the endpoint and the keys alone.

Prints as JSON the id that each message was told: address -> id.
"""

import json
import sys
import warnings
from typing import Any

import django
from anymail.message import AnymailMessage
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection

GIF = bytes.fromhex("47494638396101000100000000002c00000000010001000002004c01003b")
told: dict[str, Any] = {}


def anymail(sender: str) -> None:
    message = AnymailMessage(
        "Größe & Preis",
        "Grüße",
        f"Laden Köln <{sender}>",
        ["Ann <ann@dest.test>"],
        cc=["carl@dest.test"],
        bcc=["dora@dest.test"],
        reply_to=["Hilfe für alle <help@dest.test>"],
        headers={"X-Order": "é 42"},
        tags=["orders"],
        metadata={"user": 7},
    )
    message.attach("Bericht.csv", "a;b\n", "text/csv")
    message.attach_alternative(
        f'<p>Gruß <img src="cid:{message.attach_inline_image(GIF, "dot.gif")}"></p>', "text/html"
    )
    message.send()
    told["ann@dest.test"] = message.anymail_status.message_id


def by_template(sender: str) -> None:
    """Of a template, to one and to many, with data, metadata and fields of their own."""
    many = AnymailMessage("", "", sender, ["g@dest.test", "Hal <h@dest.test>"], template_id="welcome")
    many.merge_global_data = {"name": "all", "shop": "Ö"}
    many.merge_data = {"g@dest.test": {"name": "Gil & Co"}}
    many.merge_metadata = {"g@dest.test": {"user": 1}, "h@dest.test": {"user": 2}}
    many.merge_headers = {"g@dest.test": {"X-Order": "1"}}
    many.tags = ["welcome"]
    many.send()
    told.update({address: status.message_id for address, status in many.anymail_status.recipients.items()})


def django_ses(sender: str, name: str) -> None:
    message = EmailMultiAlternatives(
        "Größe", "Grüße", f"Köln <{sender}>", [f"{name}@dest.test"], bcc=[f"b{name}@dest.test"]
    )
    message.attach_alternative("<p>Grüße</p>", "text/html")
    message.attach("Bericht.csv", "a;b\n", "text/csv")
    with get_connection() as connection:
        assert connection.send_messages([message]) == 1
        # AWS_SES_AUTO_THROTTLE divides by it.
        told[f"rate {name}"] = connection.get_rate_limit()
    told[f"{name}@dest.test"] = message.extra_headers["message_id"]


def main(backend: str, url: str, key_id: str, secret: str, sender: str) -> None:
    warnings.simplefilter("error")
    client = {
        "endpoint_url": url,
        "region_name": "us-west-2",
        "aws_access_key_id": key_id,
        "aws_secret_access_key": secret,
    }
    backends = {"anymail": "anymail.backends.amazon_ses.EmailBackend"}
    settings.configure(
        EMAIL_BACKEND=backends.get(backend, "django_ses.SESBackend"),
        ANYMAIL={"AMAZON_SES_CLIENT_PARAMS": client, "AMAZON_SES_MESSAGE_TAG_NAME": "category"},
        AWS_SES_REGION_NAME="us-west-2",
        AWS_SES_REGION_ENDPOINT_URL=url,
        AWS_SES_ACCESS_KEY_ID=key_id,
        AWS_SES_SECRET_ACCESS_KEY=secret,
        USE_SES_V2=backend == "v2",
    )
    django.setup()
    if backend == "anymail":
        anymail(sender)
        by_template(sender)
    else:
        django_ses(sender, backend)
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
