"""A program that calls every method of the official `mailtrap` SDK, and prints which of them gave what they promise.

The SDK is asked what it has (:func:`methods`), so a method that a later SDK brings is missed by the test at once.
"""

import inspect
import json
import sys
import time
import typing
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import mailtrap as mt
from mailtrap.exceptions import APIError
from mailtrap.models.accounts import AccountAccessFilterParams
from mailtrap.models.api_tokens import ApiTokenResource, CreateApiTokenParams, ResetApiTokenParams
from mailtrap.models.company_info import CreateCompanyInfoParams, UpdateCompanyInfoParams
from mailtrap.models.contacts import (
    ContactEventParams,
    ContactExportFilter,
    ContactListParams,
    CreateContactExportParams,
    CreateContactFieldParams,
    CreateContactParams,
    ImportContactParams,
    UpdateContactFieldParams,
    UpdateContactParams,
)
from mailtrap.models.email_logs import (
    EmailLogsListFilters,
    filter_ci_equal,
    filter_events_include,
    filter_sending_stream_equal,
    filter_string_equal,
)
from mailtrap.models.inboxes import CreateInboxParams, UpdateInboxParams
from mailtrap.models.messages import UpdateEmailMessageParams
from mailtrap.models.organizations import CreateSubAccountParams
from mailtrap.models.paginated_templates import CreateTemplateParams, TemplateListParams, UpdateTemplateParams
from mailtrap.models.permissions import PermissionResourceParams
from mailtrap.models.projects import ProjectParams
from mailtrap.models.sending_domains import (
    CreateSendingDomainParams,
    SendSetupInstructionsParams,
    UpdateSendingDomainParams,
)
from mailtrap.models.stats import StatsFilterParams
from mailtrap.models.suppressions import CreateSuppressionParams
from mailtrap.models.templates import CreateEmailTemplateParams, UpdateEmailTemplateParams
from mailtrap.models.tracking_opt_outs import CreateTrackingOptOutParams, TrackingOptOutsListParams
from mailtrap.models.webhooks import CreateWebhookParams, UpdateWebhookParams

#: APIs of the client that Mailferry does not serve yet. Each has its step below, which must be refused until then.
NOT_YET: frozenset[str] = frozenset()

FINISH_SECONDS = 40


# --- what the SDK has ----------------------------------------------------------------------------------------------


def methods() -> dict[str, tuple[type, str]]:
    """`contacts_api.contact_lists.create` -> the class and the name of every public method that a client leads to."""
    return dict(_methods(mt.MailtrapClient, ()))


def _methods(owner: type, path: tuple[str, ...]) -> typing.Iterator[tuple[str, tuple[type, str]]]:
    for name, member in inspect.getmembers(owner):
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            below = typing.get_type_hints(member.fget)["return"]
            if inspect.isclass(below) and below.__module__.startswith("mailtrap.api."):
                yield from _methods(below, (*path, name))
        elif inspect.isfunction(member):
            yield ".".join((*path, name)), (owner, name)


def record(called: set[str]) -> None:
    """From now on, methods that return what their signature says put their names into ``called``."""
    for path, (owner, name) in methods().items():
        setattr(owner, name, _recorded(path, getattr(owner, name), called))


def _recorded(path: str, method: Callable[..., Any], called: set[str]) -> Callable[..., Any]:
    promised = typing.get_type_hints(method)["return"]

    def call(*arguments: Any, **named: Any) -> Any:
        result = method(*arguments, **named)
        assert _is(result, promised), f"{path} promises {promised} and returned {result!r}"
        called.add(path)
        return result

    return call


def _is(value: Any, promised: Any) -> bool:
    if typing.get_origin(promised) is list:
        return isinstance(value, list) and all(_is(each, typing.get_args(promised)[0]) for each in value)
    return isinstance(value, typing.get_origin(promised) or promised)


# --- what is done with it ------------------------------------------------------------------------------------------


class House:
    """What the steps work on: clients of account 1 and of the organization that it is in."""

    def __init__(self, token: str, organization: str, organization_token: str, domain: str) -> None:
        self.client = mt.MailtrapClient(token=token, account_id="1")
        self.group = mt.MailtrapClient(token=organization_token, organization_id=organization)
        self.account = 1
        self.token = token
        self.domain_name = domain
        self.sender = mt.Address(email=f"app@{domain}", name="Größe & Co")

    @property
    def domain(self) -> int:
        domains = self.client.sending_domains_api.sending_domains.get_list()
        return next(each.id for each in domains if each.domain_name == self.domain_name)

    def mail(self, to: str) -> mt.Mail:
        return mt.Mail(
            sender=self.sender,
            to=[mt.Address(email=to)],
            cc=[mt.Address(email=f"cc.{to}", name="Copy")],
            reply_to=mt.Address(email="reply@dest.test"),
            subject=to,
            text="text",
            html='<img src="cid:dot">',
            category="tour",
            custom_variables={"user": 7},
            headers={"X-Tour": "yes"},
            attachments=[
                mt.Attachment(
                    content=b"R0lGODlhAQABAAAAACw=",
                    filename="dot.gif",
                    mimetype="image/gif",
                    disposition=mt.Disposition.INLINE,
                    content_id="dot",
                )
            ],
        )

    def batch(self, *to: str) -> mt.BatchSendEmailParams:
        return mt.BatchSendEmailParams(
            base=mt.BatchMail(sender=self.sender, subject="Batch", text="text", category="tour"),
            requests=[mt.BatchEmailRequest(to=[mt.Address(email=address)]) for address in to],
        )


def refused(status: int, call: Callable[..., Any], *arguments: Any) -> list[str]:
    try:
        call(*arguments)
    except APIError as error:
        assert error.status == status, error
        return list(error.errors)
    raise AssertionError("it was not refused")


def until(check: Callable[[], Any], pause: float = 0.1) -> Any:
    deadline = time.monotonic() + FINISH_SECONDS
    while not (found := check()):
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(pause)
    return found


def sending(house: House) -> None:
    bulk = mt.MailtrapClient(token=house.token, bulk=True)
    assert len(house.client.send(house.mail("one@dest.test"))["message_ids"]) == 2
    assert len(bulk.sending_api.send(house.mail("two@dest.test")).message_ids) == 2
    many = house.client.batch_send(house.batch("a@dest.test", "b@dest.test", "wrong"))
    assert [each["success"] for each in many["responses"]] == [True, True, False], many
    assert many["responses"][2]["errors"], many
    assert bulk.sending_api.batch_send(house.batch("c@dest.test")).responses[0].success


def email_logs(house: House) -> None:
    logs = house.client.email_logs_api.email_logs
    wanted = EmailLogsListFilters(
        sent_after="2026-01-01T00:00:00Z",
        to=filter_ci_equal(["ONE@dest.test", "two@dest.test"]),
        category=filter_string_equal("tour"),
        events=filter_events_include(["delivery", "bounce"]),
    )
    page = until(lambda: (page := logs.get_list(wanted)).total_count == 2 and page)
    assert [(each.to, each.sending_stream) for each in page.messages] == [
        ("two@dest.test", "bulk"),
        ("one@dest.test", "transactional"),
    ], page
    assert page.messages[0].custom_variables == {"user": "7"} and page.next_page_cursor is None
    older = logs.get_list(wanted, search_after=page.messages[0].message_id)
    assert [each.to for each in older.messages] == ["one@dest.test"]
    bulk = logs.get_list(EmailLogsListFilters(sending_stream=filter_sending_stream_equal(["bulk"])))
    assert {each.to for each in bulk.messages} == {"two@dest.test", "cc.two@dest.test", "c@dest.test"}
    one = logs.get_by_id(older.messages[0].message_id)
    assert one.status == "delivered" and [each.event_type for each in one.events] == ["delivery"], one
    assert refused(404, logs.get_by_id, "0" * 8 + one.message_id[8:]) == ["Not Found"]


def general(house: House) -> None:
    api, account, domain = house.client.general_api, house.account, house.domain
    (mine,) = api.accounts.get_list()
    assert (mine.id, mine.access_levels) == (account, [100])
    (root,) = api.permissions.get_resources(account)
    assert root.type == "account" and domain in [each.id for each in root.resources if each.type == "sending_domain"]
    assert api.billing.get_current_billing_usage(account).sending.usage.sent_messages_count.current > 0

    end = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    viewer = [ApiTokenResource("account", account, 10)]
    made = api.api_tokens.create(account, CreateApiTokenParams("Tour", viewer, expires_at=end))
    assert made.token.endswith(made.last_4_digits) and made.expires_at[:19] == end[:19]
    assert api.api_tokens.get_by_id(account, made.id).name == "Tour"
    new = api.api_tokens.reset(account, made.id, ResetApiTokenParams(expires_at=None))
    assert new.id != made.id and new.expires_at is None
    assert {made.id, new.id} <= {each.id for each in api.api_tokens.get_list(account)}
    assert api.api_tokens.delete(account, made.id).id == made.id

    every = api.account_accesses.get_list(account)
    (access,) = [each for each in every if each.specifier_type == "ApiToken" and each.specifier.id == new.id]
    wanted = PermissionResourceParams(resource_id=str(domain), resource_type="sending_domain", access_level="viewer")
    said = api.permissions.bulk_permissions_update(account, access.id, [wanted])
    assert said.message == "Permissions have been updated!"
    here = AccountAccessFilterParams(domain_ids=[str(domain), "999"])
    # The other one is the token that the domain was given when it was added.
    found = api.account_accesses.get_list(account, here)
    assert [each.id for each in found if not each.specifier.name.startswith(house.domain_name)] == [access.id]
    assert api.account_accesses.delete(account, access.id).id == access.id
    assert refused(404, api.api_tokens.get_by_id, account, new.id) == ["Not Found"]


def organizations(house: House) -> None:
    api = house.group.organizations_api.sub_accounts
    made = api.create(CreateSubAccountParams(name="Branch"))
    assert [(each.id, each.name) for each in api.get_list()] == [(1, "Mailferry"), (made.id, "Branch")]


def email_templates(house: House) -> None:
    api = house.client.email_templates_api.templates
    made = api.create(CreateEmailTemplateParams(name="N", subject="S {{a}}", category="c", body_text="T"))
    assert api.get_by_id(made.id) == made and made in api.get_list()
    assert api.update(made.id, UpdateEmailTemplateParams(body_html="<p>H</p>")).body_text == "T"
    mail = mt.MailFromTemplate(
        sender=house.sender,
        to=[mt.Address(email="template@dest.test")],
        template_uuid=made.uuid,
        template_variables={"a": "1"},
    )
    assert house.client.send(mail)["success"]
    assert api.delete(made.id).id == made.id


def templates(house: House) -> None:
    api = house.client.templates_api.templates
    made = api.create(CreateTemplateParams(name="N", subject="S", category="c", body_text="T"))
    assert api.get_by_id(made.id) == made
    assert api.update(made.id, UpdateTemplateParams(name="M")).name == "M"
    assert [each.id for each in api.get_list(TemplateListParams(per_page=1)).data] == [made.id]
    assert api.delete(made.id).id == made.id


def contacts(house: House) -> None:
    api = house.client.contacts_api
    customers = api.contact_lists.create(ContactListParams(name="Customers"))
    assert api.contact_lists.update(customers.id, ContactListParams(name="Clients")).name == "Clients"
    assert api.contact_lists.get_by_id(customers.id).name == "Clients"
    assert api.contact_lists.get_list(search="cli")[0].id == customers.id
    cats = api.contact_fields.create(CreateContactFieldParams(name="Cats", data_type="integer", merge_tag="cats"))
    assert api.contact_fields.update(cats.id, UpdateContactFieldParams(name="All cats")).name == "All cats"
    assert api.contact_fields.get_by_id(cats.id).name == api.contact_fields.get_list()[0].name == "All cats"

    ann = api.contacts.create(CreateContactParams("ann+a@dest.test", {"cats": 3}, [customers.id]))
    assert api.contacts.get_by_id(ann.email) == api.contacts.get_by_id(ann.id) == ann
    assert api.contacts.update(ann.email, UpdateContactParams(fields={"cats": 4})).fields == {"cats": 4}
    assert api.contact_events.create(ann.email, ContactEventParams("Login", {"n": 1})).contact_id == ann.id

    started = api.contact_imports.import_contacts([ImportContactParams("bob@dest.test", None, [customers.id])])
    until(lambda: api.contact_imports.get_by_id(started.id).status == "finished")
    everybody = CreateContactExportParams(filters=[ContactExportFilter("list_id", "equal", [customers.id])])
    export = api.contact_exports.create(everybody)
    assert until(lambda: api.contact_exports.get_by_id(export.id).url)

    assert api.contacts.delete("bob@dest.test").id == "bob@dest.test"
    assert api.contact_fields.delete(cats.id).id == cats.id
    assert api.contact_lists.delete(customers.id).id == customers.id


def suppressions(house: House) -> None:
    api = house.client.suppressions_api.suppressions
    made = api.create(CreateSuppressionParams("gone@dest.test", house.domain, "bulk", "unsubscription"))
    assert api.get_list(email="gone@dest.test") == [made] and made.type == "unsubscription"
    assert api.delete(made.id) == made


def sending_domains(house: House) -> None:
    api = house.client.sending_domains_api.sending_domains
    made = api.create(CreateSendingDomainParams(domain_name="second.test"))
    assert {each.key for each in made.dns_records} >= {"verification", "dkim1", "dkim2", "dmarc"}
    assert api.get_by_id(made.id).domain_name == "second.test" and made.id in [each.id for each in api.get_list()]
    assert api.update(made.id, UpdateSendingDomainParams(open_tracking_enabled=False)).open_tracking_enabled is False
    assert api.send_setup_instructions(house.domain, SendSetupInstructionsParams(email="dns@dest.test")).message
    company_info(house, made.id)
    assert api.delete(made.id).id == made.id


def company_info(house: House, domain: int) -> None:
    api = house.client.company_info_api.company_info
    shop = CreateCompanyInfoParams(
        name="Shop", address="1 Main St", city="Kyiv", country="UA", zip_code="1", website_url="https://shop.test"
    )
    assert api.create(domain, shop).city == "Kyiv"
    assert api.update(domain, UpdateCompanyInfoParams(city="Lviv")).city == api.get(domain).city == "Lviv"


def webhooks(house: House) -> None:
    api = house.client.webhooks_api.webhooks
    wanted = CreateWebhookParams(
        url="https://hooks.dest.test/a",
        webhook_type="email_sending",
        sending_stream="transactional",
        event_types=["delivery", "soft_bounce", "spam_complaint"],
    )
    made = api.create(wanted)
    assert len(made.signing_secret) == 32
    assert [each.id for each in api.get_list()] == [made.id] and api.get_by_id(made.id).url == made.url
    assert api.update(made.id, UpdateWebhookParams(active=False)).active is False
    assert api.delete(made.id).id == made.id and api.get_list() == []


def stats(house: House) -> None:
    api, account = house.client.stats_api, house.account
    today = datetime.now(UTC).date().isoformat()
    wanted = StatsFilterParams("2026-01-01", today, [house.domain], ["transactional", "bulk"], ["tour"])
    # Ten questions a minute are answered.
    whole = until(lambda: (found := api.get(account, wanted)).delivery_count and found, 5)
    assert whole.delivery_rate > 0
    assert [each.value for each in api.by_domain(account, wanted)] == [house.domain]
    assert [each.value for each in api.by_category(account, wanted)] == ["tour"]
    assert api.by_email_service_provider(account, wanted)
    assert api.by_date(account, wanted)


def tracking_opt_outs(house: House) -> None:
    api = house.client.tracking_opt_outs_api.tracking_opt_outs
    made = api.create(CreateTrackingOptOutParams(email="shy@dest.test", domain_id=house.domain))
    assert (made.email, made.domain_name) == ("shy@dest.test", house.domain_name)
    assert [each.id for each in api.get_list(TrackingOptOutsListParams(email="shy@dest.test")).data] == [made.id]
    assert api.delete(made.id).id == made.id and api.get_list().data == []


def sandbox(house: House) -> None:
    testing = house.client.testing_api
    projects, inboxes = testing.projects, testing.inboxes
    project = projects.create(ProjectParams(name="Tour"))
    assert projects.update(project.id, ProjectParams(name="The tour")).name == "The tour"
    made = inboxes.create(project.id, CreateInboxParams(name="Staging"))
    assert inboxes.update(made.id, UpdateInboxParams(name="New", email_username="tour-7")).email_username == "tour-7"
    assert inboxes.reset_email_username(made.id).email_username != "tour-7"
    assert inboxes.enable_email_address(made.id).email_username_enabled
    assert inboxes.reset_credentials(made.id).password not in ("", made.password)
    assert [each.id for each in projects.get_by_id(project.id).inboxes] == [made.id]
    assert project.id in {each.id for each in projects.get_list()}
    assert made.id in {each.id for each in inboxes.get_list()}

    to_inbox = mt.MailtrapClient(token=house.token, sandbox=True, inbox_id=str(made.id))
    (one,) = map(int, to_inbox.send(house.mail("caught@dest.test"))["message_ids"])
    many = to_inbox.batch_send(house.batch("a@dest.test", "b@dest.test", "wrong"))["responses"]
    assert [each["success"] for each in many] == [True, True, False], many
    _caught(house, made.id, one)

    assert inboxes.get_by_id(made.id).emails_unread_count == 3
    assert inboxes.mark_as_read(made.id).emails_unread_count == 0
    assert testing.messages.delete(made.id, one).id == one
    assert inboxes.clean(made.id).emails_count == 0
    assert inboxes.delete(made.id).id == made.id
    assert projects.delete(project.id).id == project.id
    assert refused(404, inboxes.get_by_id, made.id) == ["Not Found"]


def _caught(house: House, inbox: int, one: int) -> None:
    testing = house.client.testing_api
    messages = testing.messages
    assert len(messages.get_list(inbox)) == 3 and messages.get_list(inbox, search="CAUGHT")[0].id == one
    assert messages.get_list(inbox, last_id=one) == [] == messages.get_list(inbox, page=2)
    shown = messages.show_message(inbox, one)
    assert (shown.subject, shown.from_name, shown.is_read) == ("caught@dest.test", "Größe & Co", False), shown
    assert messages.update(inbox, one, UpdateEmailMessageParams(is_read=True)).is_read
    assert not messages.update(inbox, one, UpdateEmailMessageParams(is_read=False)).is_read
    assert messages.get_text_message(inbox, one) == "text"
    assert messages.get_html_message(inbox, one) == messages.get_html_source(inbox, one) == '<img src="cid:dot">'
    raw = messages.get_raw_message(inbox, one)
    assert "X-Tour: yes" in raw and raw == messages.get_message_as_eml(inbox, one)
    assert messages.get_mail_headers(inbox, one)["x_tour"] == "yes"
    assert messages.get_spam_report(inbox, one).threshold == 5
    assert messages.get_html_analysis(inbox, one).status in ("success", "error")
    (file,) = testing.attachments.get_list(inbox, one)
    again = testing.attachments.get(inbox, one, file.id)
    assert (again.id, again.filename, again.content_id) == (file.id, "dot.gif", "dot"), again
    # Who owns the account after the first start is nobody that mail could go to; it is told apart from a stranger.
    assert refused(422, messages.forward, inbox, one, "stranger@dest.test")
    assert "forwarded" in messages.forward(inbox, one, "owner@mailferry.test").message


STEPS: dict[str, Callable[[House], None]] = {
    "sending_api": sending,
    "email_logs_api": email_logs,
    "general_api": general,
    "organizations_api": organizations,
    "email_templates_api": email_templates,
    "templates_api": templates,
    "contacts_api": contacts,
    "suppressions_api": suppressions,
    "sending_domains_api": sending_domains,
    "webhooks_api": webhooks,
    "stats_api": stats,
    "tracking_opt_outs_api": tracking_opt_outs,
    "testing_api": sandbox,
}


def main(*arguments: str) -> None:
    called: set[str] = set()
    record(called)
    house, not_served = House(*arguments), []
    for name, step in STEPS.items():
        try:
            step(house)
        except APIError as error:
            if name not in NOT_YET or error.status != 404:
                raise
            not_served.append(name)
    print(json.dumps({"called": sorted(called), "not_served": not_served}))


if __name__ == "__main__":
    main(*sys.argv[1:])
