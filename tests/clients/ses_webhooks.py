"""A Django application that is told of mail by Amazon SNS, by django-anymail's view or by django-ses's.

``anymail`` or ``django-ses``, and the host of the certificates that are trusted: reads requests as JSON from standard input
and prints what the view answered to each, and what the application's receivers were given.
"""

import json
import sys
from typing import Any

import django
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.test import RequestFactory

SECRET = "user:secret"


def main(which: str, host: str) -> None:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="x",
        ANYMAIL={"WEBHOOK_SECRET": SECRET},
        AWS_SNS_EVENT_CERT_TRUSTED_DOMAINS=[host],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    )
    django.setup()
    told: list[Any] = []
    view = by_anymail(told) if which == "anymail" else by_django_ses(told)
    answers = []
    for each in json.load(sys.stdin):
        headers = {name: value for name, value in each["headers"].items() if name != "content-length"}
        request = RequestFactory().post("/sns/", each["body"], content_type="text/plain", headers=headers)
        told.clear()
        try:
            status = view(request).status_code
        except SuspiciousOperation as error:
            status, told[:] = 400, [str(error)]
        answers.append({"status": status, "told": list(told)})
    print(json.dumps(answers))


def by_anymail(told: list[Any]) -> Any:
    from anymail.signals import tracking
    from anymail.webhooks.amazon_ses import AmazonSESTrackingWebhookView

    def receive(sender: Any, event: Any, esp_name: str, **_: Any) -> None:
        told.append(
            {
                "event": event.event_type,
                "message": event.message_id,
                "to": event.recipient,
                "tags": event.tags,
                "metadata": event.metadata,
                "reason": event.reject_reason,
                "url": event.click_url,
            }
        )

    tracking.connect(receive, weak=False)
    return AmazonSESTrackingWebhookView.as_view()


def by_django_ses(told: list[Any]) -> Any:
    from django_ses import signals
    from django_ses.views import SESEventWebhookView

    for name in ("send", "delivery", "bounce", "complaint", "open", "click"):

        def receive(sender: Any, mail_obj: Any, name: str = name, **_: Any) -> None:
            told.append({"event": name, "message": mail_obj["messageId"]})

        getattr(signals, f"{name}_received").connect(receive, weak=False)
    return SESEventWebhookView.as_view()


if __name__ == "__main__":
    main(*sys.argv[1:])
