"""django-anymail's webhook view for Mailtrap as a function: raw body and headers go in, normalised events come out."""

from collections.abc import Mapping
from typing import Any

import django
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.test import RequestFactory

PATH = "/anymail/mailtrap/tracking/"


class Refused(Exception):
    """The view does not take the request: Django answers 400."""


def normalised(body: bytes, headers: Mapping[str, str], signing_secret: str) -> list[Any]:
    """The ``AnymailTrackingEvent``s that the application's receiver gets. Raises :class:`Refused`."""
    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"])
        django.setup()
    # Django wants its settings before these are imported.
    from anymail.signals import tracking
    from anymail.webhooks.mailtrap import MailtrapTrackingWebhookView

    events: list[Any] = []

    def receive(sender: Any, event: Any, esp_name: str, **_: Any) -> None:
        assert esp_name == "Mailtrap"
        events.append(event)

    view = MailtrapTrackingWebhookView.as_view(tracking_secret=signing_secret)
    kind = headers.get("Content-Type", "application/json")
    request = RequestFactory().post(PATH, body, content_type=kind, headers=dict(headers))
    tracking.connect(receive)
    try:
        answer = view(request)
    except SuspiciousOperation as error:
        raise Refused(str(error)) from None
    finally:
        tracking.disconnect(receive)
    assert answer.status_code == 200
    return events
