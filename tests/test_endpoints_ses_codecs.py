"""The two wires of Amazon's dialect: forms and XML, paths and JSON, by the shapes of the services' own models."""

import base64
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import boto3
import msgspec
import pytest
from botocore.parsers import create_parser
from botocore.session import Session

from mailferry.endpoints.ses import constraints, errors, paths, query, rest_json, signed, table_v1, table_v2
from mailferry.endpoints.ses.document import written
from mailferry.endpoints.ses.errors import SesError
from mailferry.endpoints.ses.model import service
from mailferry.endpoints.ses.operation import Does
from mailferry.endpoints.ses.table import TABLE

V1, V2 = service("ses"), service("sesv2")


def form(text: str, operation: str = "SendEmail") -> dict[str, Any]:
    return query.read(V1.operations[operation], query.read_form(text.encode()))


def test_lists_are_numbered_and_an_empty_one_is_a_bare_key() -> None:
    found = form(
        "Destination.ToAddresses.member.2=b%40x&Destination.ToAddresses.member.1=a%2Bb@x&Destination.CcAddresses="
        "&Destination.BccAddresses.member.10=j&Destination.BccAddresses.member.9=i&Unknown.Thing=1"
    )
    assert found == {"Destination": {"ToAddresses": ["a+b@x", "b@x"], "CcAddresses": [], "BccAddresses": ["i", "j"]}}


def test_a_blob_is_base64_and_a_flag_a_word() -> None:
    data = base64.b64encode(b"\xff\x00").decode().replace("+", "%2B")
    assert form(f"RawMessage.Data={data}", "SendRawEmail") == {"RawMessage": {"Data": b"\xff\x00"}}
    assert form("Enabled=true", "UpdateAccountSendingEnabled") == {"Enabled": True}
    with pytest.raises(SesError, match="is no boolean"):
        form("Enabled=perhaps", "UpdateAccountSendingEnabled")


@pytest.mark.parametrize("text", ["Source=a&Source.b=c", "Source.b=c&Source=a", "a." * 500 + "=1", "...=1", "&&=&"])
def test_a_confused_form_is_read_or_refused(text: str) -> None:
    try:
        form(text)
    except SesError as error:
        assert error.code == "MalformedInput"


def test_an_answer_is_what_botocore_parses() -> None:
    operation = V1.operations["GetIdentityVerificationAttributes"]
    result = {"VerificationAttributes": {"a&b@x": {"VerificationStatus": "Success", "VerificationToken": "t\rt"}}}
    text = query.write(V1, operation, result, "id-1")
    model = Session().get_service_model("ses").operation_model(operation.name)
    parsed = create_parser("query").parse(
        {"status_code": 200, "headers": {}, "body": text.encode()}, model.output_shape
    )
    assert parsed["VerificationAttributes"] == result["VerificationAttributes"]
    assert parsed["ResponseMetadata"]["RequestId"] == "id-1"


@pytest.mark.parametrize("name", ["ses", "sns"])
def test_every_error_of_the_model_parses_to_its_class(name: str) -> None:
    """With its members, which stand beside the message."""
    client = boto3.client(name, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    for shape in client.meta.service_model.error_shapes:
        told = SesError(
            shape.error_code, "why", members={each: "m" for each in shape.members if each.lower() != "message"}
        )
        text = query.write_error(service(name), told, 400, "id-1")
        answer = {"status_code": 400, "headers": {}, "body": text.encode()}
        parsed = create_parser("query").parse(answer, None)["Error"]
        assert client.exceptions.from_code(parsed["Code"]) is getattr(client.exceptions, shape.name)
        assert parsed["Message"] == "why"
        assert create_parser("query").parse(answer, shape).items() >= told.members.items()


def test_what_v2_says_of_an_error_has_its_class_and_the_status_of_the_model() -> None:
    client = boto3.client("sesv2", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    of_any = {"AccessDenied", "InternalFailure", "SerializationException", "ServiceUnavailable"}
    of_any |= {"UnknownOperationException"} | {code for code, _, _ in signed._SIGNATURES.values()}
    for code in (V1.faults.keys() | errors._V2.keys()) - of_any:
        answer = signed.refusal(SesError(code, "why"))
        parsed = create_parser("rest-json").parse(
            {"status_code": answer.status_code, "headers": dict(answer.headers), "body": bytes(answer.body)}, None
        )
        modelled = getattr(client.exceptions, parsed["Error"]["Code"])
        assert client.exceptions.from_code(parsed["Error"]["Code"]) is modelled
        assert answer.status_code == V2.faults[parsed["Error"]["Code"]].status


def test_octets_that_xml_cannot_hold_do_not_break_it() -> None:
    text = query.write_error(V1, SesError("InvalidParameterValue", "a\x00\x1b<&>\ud800b"), 400, "1")
    assert ElementTree.fromstring(text.encode()).findtext(".//{*}Message") == "a\ufffd\ufffd<&>\ufffdb"


def test_a_json_body_is_read_by_shape_and_null_is_absent() -> None:
    operation = V2.operations["SendEmail"]
    body = msgspec.json.encode({"FromEmailAddress": None, "Content": {"Raw": {"Data": "aGk="}}, "Newer": 1})
    assert rest_json.read(operation, {}, [], body) == {"Content": {"Raw": {"Data": b"hi"}}}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"FromEmailAddress": 5}, "NUMBER_VALUE can not be converted to a String"),
        ({"EmailTags": {}}, "Expected list or null"),
        ({"Content": []}, "Expected a structure or null"),
        ({"Content": {"Raw": {"Data": "%"}}}, "is no blob"),
    ],
)
def test_a_wrong_type_is_told_in_jacksons_words(body: Any, text: str) -> None:
    with pytest.raises(SesError, match=text) as caught:
        rest_json.read(V2.operations["SendEmail"], {}, [], msgspec.json.encode(body))
    assert caught.value.code == "SerializationException"


def test_times_leave_as_seconds_and_as_iso() -> None:
    moment = 1_790_312_384_592
    operation = V2.operations["GetSuppressedDestination"]
    given = {"SuppressedDestination": {"EmailAddress": "a@x", "Reason": "BOUNCE", "LastUpdateTime": moment}}
    found = msgspec.json.decode(rest_json.write(operation, given))
    assert found["SuppressedDestination"]["LastUpdateTime"] == 1790312384.592
    assert query.iso(moment) == "2026-09-25T04:59:44.592Z"


@pytest.mark.parametrize(
    ("method", "path", "name", "label"),
    [
        ("GET", "/v2/email/templates/a%2Fb%20c", "GetEmailTemplate", "a%2Fb%20c"),
        ("PUT", "/v1/email/identities/x.test/dkim/signing", "PutEmailIdentityDkimSigningAttributes", "x.test"),
        ("PUT", "/v2/email/identities/x.test/dkim/signing", "PutEmailIdentityDkimSigningAttributes", "x.test"),
        ("POST", "/v2/email/contact-lists/L/contacts/list", "ListContacts", "L"),
        ("GET", "/v2/email/contact-lists/L/contacts", "ListContacts", "L"),
        ("GET", "/v2/email/insights/some-id/", "GetMessageInsights", "some-id"),
        ("GET", "/v2/email/insights/some-id", "GetMessageInsights", "some-id"),
    ],
)
def test_paths_are_looked_up_as_they_came(method: str, path: str, name: str, label: str) -> None:
    operation, labels = paths.find(method, path)
    assert (operation.name, [*labels.values()]) == (name, [label])


def test_every_operation_of_v2_is_found_by_its_own_path() -> None:
    for operation in V2.operations.values():
        path = operation.path.replace("{", "").replace("}", "")
        assert paths.find(operation.method, path)[0] is operation


def test_what_the_model_demands_is_told_in_amazons_words() -> None:
    found = constraints.problems(V1.operations["SendEmail"].input, {"Source": "a@x", "Destination": {}, "Message": {}})
    assert found == [
        "Value null at 'message.subject' failed to satisfy constraint: Member must not be null",
        "Value null at 'message.body' failed to satisfy constraint: Member must not be null",
    ]
    put = V2.operations["PutSuppressedDestination"].input
    assert constraints.problems(put, {"EmailAddress": "a@x", "Reason": "NO"}) == [
        "Value 'NO' at 'reason' failed to satisfy constraint: Member must satisfy enum value set: [BOUNCE, COMPLAINT]"
    ]


def test_the_table_has_every_operation_of_the_models_and_no_other() -> None:
    assert (len(V1.operations), len(V2.operations) >= 110) == (71, True)
    for name, version in (("ses", table_v1), ("sesv2", table_v2)):
        assert set(version.OPERATIONS) <= set(TABLE[name]) == set(service(name).operations)
    for name in ("sns", "sts"):
        assert set(TABLE[name]) <= set(service(name).operations)
    for ops in TABLE.values():
        assert all(
            (op.function is None) == (op.does is Does.UNSUPPORTED) and (op.function or op.remark) for op in ops.values()
        )


def test_the_page_tells_what_the_table_says() -> None:
    """`make docs` writes it."""
    page = Path("docs/ses.md").read_text()
    assert written(page) == page
