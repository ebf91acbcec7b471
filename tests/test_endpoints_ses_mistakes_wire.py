"""The usual mistakes of emulators on the wire (the list's numbers 1 to 11), by requests as they travel and as boto3 makes them."""

import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from mailferry.endpoints.ses.errors import SesError, v2_spelling
from mailferry.endpoints.ses.model import service
from mailferry.endpoints.ses.outgoing import Tag, check_tags
from mailferry.endpoints.ses.query import write, write_error
from tests.amazon import Amazon
from tests.server import Mailferry

DEMO = "hello@demo.mailferry.test"
TAKEN = "success@simulator.demo.mailferry.test"
SIMPLE = {"Simple": {"Subject": {"Data": "Hi"}, "Body": {"Text": {"Data": "It works."}}}}
#: The five whose code keeps the suffix of their shape.
SUFFIXED = {
    "AccountSendingPausedException",
    "ConfigurationSetSendingPausedException",
    "MailFromDomainNotVerifiedException",
    "TrackingOptionsAlreadyExistsException",
    "TrackingOptionsDoesNotExistException",
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Amazon]:
    server = Mailferry(Path(tmp_path_factory.mktemp("wire")) / "data", {})
    server.start()
    try:
        yield Amazon(server, None, None)  # type: ignore[arg-type]  # nothing leaves but to the simulator
    finally:
        server.end()


def ask(cloud: Amazon, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], str]:
    """Signed as botocore does it, sent as it stands."""
    request = AWSRequest(method, f"http://127.0.0.1:{cloud.server.http}{path}", data=body)
    for name, value in headers.items():
        request.headers[name.replace("_", "-")] = value
    SigV4Auth(Credentials(cloud.pair["access_key_id"], cloud.pair["secret_access_key"]), "ses", "us-east-1").add_auth(
        request
    )
    connection = http.client.HTTPConnection("127.0.0.1", cloud.server.http, timeout=30)
    try:
        connection.request(method, path, body or None, dict(request.headers))
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


def form(**fields: str) -> bytes:
    return urlencode({"Version": "2010-12-01", **fields}).encode()


def test_1_the_result_s_element_stands_even_where_it_is_empty_and_not_where_there_is_none() -> None:
    v1 = service("ses")
    for operation in v1.operations.values():
        text = write(v1, operation, None, "id")
        assert (f"<{operation.name}Result>" in text) == (operation.output is not None)
    assert sum(operation.output is None for operation in v1.operations.values()) == 8


@pytest.mark.parametrize("name", ["a@x.test", "a+b x", "a/b", "ä%2F"])
def test_2_names_in_paths_are_signed_as_they_travel(cloud: Amazon, name: str) -> None:
    client = cloud.client("sesv2")
    with pytest.raises(client.exceptions.NotFoundException):  # and no InvalidSignatureException
        client.get_configuration_set_event_destinations(ConfigurationSetName=name)


def test_3_the_payload_s_hash_may_be_there_and_need_not(cloud: Amazon) -> None:
    body = form(Action="GetSendQuota")
    for headers in ({}, {"x_amz_content_sha256": "UNSIGNED-PAYLOAD"}):
        status, _, text = ask(cloud, "POST", "/", body, content_type="application/x-www-form-urlencoded", **headers)
        assert status == 200 and "<Max24HourSend>" in text
    assert ask(cloud, "GET", f"/?{body.decode()}")[0] == 200
    status, _, text = ask(cloud, "POST", "/", body, x_amz_content_sha256="0" * 64)
    assert (status, "SignatureDoesNotMatch" in text) == (403, True)


def test_4_times_are_numbers_in_v2_and_iso_in_v1(cloud: Amazon) -> None:
    cloud.client("sesv2").create_tenant(TenantName="four")
    _, _, text = ask(cloud, "POST", "/v2/email/tenants/get", b'{"TenantName":"four"}', content_type="application/json")
    assert '"CreatedTimestamp":1' in text
    cloud.client("ses").create_receipt_rule_set(RuleSetName="four")
    _, _, text = ask(cloud, "POST", "/", form(Action="ListReceiptRuleSets"))
    assert "Z</CreatedTimestamp>" in text and "<CreatedTimestamp>20" in text


def test_5_an_empty_list_is_no_recipient(cloud: Amazon) -> None:
    sent = cloud.client("ses").send_email(
        Source=DEMO,
        Destination={"ToAddresses": [TAKEN], "CcAddresses": [], "BccAddresses": []},
        Message=SIMPLE["Simple"],
    )
    assert sent["MessageId"]


def test_6_codes_of_v1_are_the_model_s_and_no_shapes_names() -> None:
    codes = set(service("ses").faults)
    assert {code for code in codes if code.endswith("Exception")} == SUFFIXED
    assert {"TemplateDoesNotExist", "AlreadyExists", "RuleSetDoesNotExist"} <= codes
    text = write_error(service("ses"), SesError("TemplateDoesNotExist", "m", members={"TemplateName": "t"}), 400, "id")
    assert "<Code>TemplateDoesNotExist</Code><Message>m</Message><TemplateName>t</TemplateName></Error>" in text


@pytest.mark.parametrize(
    "path", ["/v2/email/nothing", "/v2/email/identities/none.test", "/v2/email/", "/ses/v2/email/x/y/z"]
)
def test_7_what_is_not_there_is_json_with_its_type(cloud: Amazon, path: str) -> None:
    status, headers, text = ask(cloud, "GET", path)
    assert (status, headers["content-type"]) == (404, "application/json")
    assert headers["x-amzn-errortype"] in ("NotFoundException", "UnknownOperationException")
    assert headers["x-amzn-requestid"] and text.startswith('{"message":"')


def test_8_too_fast_is_400_in_v1_and_429_in_v2() -> None:
    error = SesError("Throttling", "Maximum sending rate exceeded.")
    spelling = v2_spelling(error)
    assert (error.status, spelling.code, spelling.status) == (400, "TooManyRequestsException", 429)


def test_9_who_is_not_verified_hears_it_before_anything_about_mime_and_after_tags(cloud: Amazon) -> None:
    """nodemailer's verify() sends a message whose Subject is a folded line of To."""
    client = cloud.client("sesv2", region="eu-central-1")
    nobody = {"ToAddresses": ["invalid@invalid"]}
    sloppy = b"From: invalid@invalid\r\nTo: invalid@invalid\r\n Subject: Invalid\r\n\r\nInvalid"
    with pytest.raises(client.exceptions.MessageRejected) as caught:
        client.send_email(Content={"Raw": {"Data": sloppy}}, FromEmailAddress="invalid@invalid", Destination=nobody)
    assert caught.value.response["Error"]["Message"] == (
        "Email address is not verified. The following identities failed the check in region EU-CENTRAL-1: invalid@invalid"
    )
    with pytest.raises(client.exceptions.BadRequestException, match="The tag value must be specified"):
        client.send_email(
            Content={"Raw": {"Data": sloppy}},
            FromEmailAddress="invalid@invalid",
            Destination=nobody,
            EmailTags=[{"Name": "a", "Value": ""}],
        )
    with pytest.raises(
        SesError, match=r"Invalid tag name <a b>: only alphanumeric ASCII characters, '_',  '-' are allowed\."
    ):
        check_tags([Tag("a b", "x")])


def test_10_one_message_has_one_id_without_brackets(cloud: Amazon) -> None:
    other = TAKEN.replace("success", "bounce")
    sent = cloud.client("sesv2").send_email(
        FromEmailAddress=DEMO, Destination={"ToAddresses": [TAKEN, other]}, Content=SIMPLE
    )
    assert not set(sent["MessageId"]) - set("0123456789abcdef-")
    assert len(sent["MessageId"]) <= 60
    shown = cloud.server.command("messages", "list")
    ours = {cloud.server.command("messages", "show", each["message_id"])["rfc_message_id"] for each in shown[:2]}
    assert ours == {f"<{sent['MessageId']}@demo.mailferry.test>"}


def test_11_a_message_of_v2_may_have_forty_megabytes(cloud: Amazon) -> None:
    body = b"x" * 76 + b"\r\n"
    raw = f"From: {DEMO}\r\nTo: {TAKEN}\r\nSubject: Large\r\n\r\n".encode() + body * (28 * 1024 * 1024 // len(body))
    sent = cloud.client("sesv2").send_email(Content={"Raw": {"Data": raw}})
    assert sent["MessageId"]


def test_what_is_no_request_of_amazon_s_is_told_in_its_shape(cloud: Amazon) -> None:
    with pytest.raises(ClientError, match="InvalidAction"):
        cloud.client("sns").list_platform_applications()
    status, headers, text = ask(cloud, "POST", "/", form(Action="Nothing"))
    assert (status, headers["content-type"].partition(";")[0]) == (400, "text/xml")
    assert "Could not find operation Nothing for version 2010-12-01" in text


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 30, "-1", "x"])
def test_no_number_of_a_certificate_is_a_mistake_of_ours(cloud: Amazon, number: str) -> None:
    assert ask(cloud, "GET", f"/SimpleNotificationService-{number}.pem")[0] == 404
