"""Every operation of the models is called by boto3 with the least that its model demands, and its answer is parsed.

Whatever it is, it is an answer of Amazon's kind: a result, or an error of the model's own or of those that any operation may
have. Nothing is a 5xx, nothing is left unparsed.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mailferry.endpoints.ses.model import service
from mailferry.endpoints.ses.operation import Does
from mailferry.endpoints.ses.table import TABLE
from tests.amazon import Amazon
from tests.server import Mailferry

#: What a member of that name is given; anything else is a word.
VALUES: dict[str, Any] = {
    "CertificateArn": "arn:aws:acm:us-east-1:000000000001:certificate/x",
    "Arn": "arn:aws:ses:us-east-1:000000000001:identity/x.test",
    "ReputationEntityReference": "arn:aws:ses:us-east-1:000000000001:identity/x.test",
    "ResourceArn": "arn:aws:ses:us-east-1:000000000001:identity/x.test",
    "TopicArn": "arn:aws:sns:us-east-1:000000000001:word",
    "Cidr": "10.0.0.0/8",
    "Policy": "Block",
    "TemplateData": "{}",
    "DefaultTemplateData": "{}",
    "S3Url": "s3://local/word",
    "Domain": "x.test",
}
ADDRESS = re.compile(r"(Email|Address|Sender|Source|Recipient)", re.IGNORECASE)
#: Any operation may answer with these (docs/ses.md); the rest is modelled.
COMMON = {
    "AccessDenied",
    "BadRequestException",
    "InvalidAction",
    "InvalidNextTokenException",
    "InvalidParameterValue",
    "MalformedInput",
    "NotFoundException",
    "ValidationError",
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Amazon]:
    server = Mailferry(Path(tmp_path_factory.mktemp("every")) / "data", {})
    server.start()
    try:
        yield Amazon(server, None, None)  # type: ignore[arg-type]  # nothing is delivered
    finally:
        server.end()


def least(shape: Any, name: str) -> Any:
    """What the model demands of a value of that shape, and no more."""
    match shape.type_name:
        case "structure":
            wanted = shape.required_members or (list(shape.members)[:1] if shape.metadata.get("union") else [])
            return {each: least(shape.members[each], each) for each in wanted}
        case "list":
            return [least(shape.member, name)]
        case "map":
            return {"word": least(shape.value, name)}
        case "string":
            if shape.metadata.get("enum"):
                return shape.metadata["enum"][0]
            return VALUES.get(name, "a@x.test" if ADDRESS.search(name) else "word")
        case "blob":
            return b"From: a@x.test\r\n\r\nx\r\n"
        case "boolean":
            return True
        case "timestamp":
            return 1_700_000_000
        case "double" | "float":
            return 1.0
    return 1


@pytest.mark.parametrize(
    ("name", "operation"), [(name, each) for name in ("ses", "sesv2") for each in service(name).operations]
)
def test_it_answers(cloud: Amazon, name: str, operation: str) -> None:
    client = cloud.client(name)
    method = next(python for python, api in client.meta.method_to_api_mapping.items() if api == operation)
    model = client.meta.service_model.operation_model(operation)
    params = least(model.input_shape, operation) if model.input_shape else {}
    modelled = {shape.metadata.get("error", {}).get("code", shape.name) for shape in model.error_shapes}
    does = TABLE[name][operation].does
    try:
        answer = getattr(client, method)(**params)
    except ClientError as error:
        code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert status < 500 and code in modelled | COMMON, error
        assert error.response["Error"]["Message"]
        assert ("is not supported by Mailferry" in str(error)) == (does is Does.UNSUPPORTED), error
        if code in modelled and hasattr(client.exceptions, code):
            assert isinstance(error, getattr(client.exceptions, code))
    else:
        assert does is not Does.UNSUPPORTED
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_what_v2_does_not_know_is_ignored(cloud: Amazon) -> None:
    """A newer client's members must not be refused."""
    client = cloud.client("sesv2")

    def add(params: dict[str, Any], **_: Any) -> None:
        params["body"] = b'{"PoolName":"newer","Invented":{"a":[1]}}'

    client.meta.events.register("before-call.sesv2.CreateDedicatedIpPool", add)
    client.create_dedicated_ip_pool(PoolName="newer")
    assert "newer" in client.list_dedicated_ip_pools()["DedicatedIpPools"]
