"""Import and export jobs by boto3 without S3, and what became of messages: read one by one, in numbers, and as files."""

import asyncio
import csv
import io
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.amazon import ON_SQLITE, SENDER, Amazon, amazon, in_thread
from tests.server import DOMAIN

pytestmark = ON_SQLITE

BODY = {"Subject": {"Data": "Hi"}, "Body": {"Text": {"Data": "It works."}}}
RECORDS = 10_000


@pytest.fixture
async def cloud(tmp_path: Path, database_url: str) -> Any:
    async with amazon(tmp_path, database_url) as found:
        yield found


def upload(cloud: Amazon, content: bytes, *, hashed: bool = False, secret: str = "") -> str:
    """As the page says it is done: botocore's signer, and any HTTP client."""
    url = f"http://127.0.0.1:{cloud.server.http}/ses/uploads"
    headers = {} if hashed else {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    request = AWSRequest("POST", url, data=content, headers=headers)
    pair = Credentials(cloud.pair["access_key_id"], secret or cloud.pair["secret_access_key"])
    SigV4Auth(pair, "ses", "us-east-1").add_auth(request)
    sent = urllib.request.Request(url, content, dict(request.headers), method="POST")
    with urllib.request.urlopen(sent, timeout=60) as response:
        return str(json.loads(response.read())["S3Url"])


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as response:
        content: bytes = response.read()
        return content


async def imported(cloud: Amazon, content: bytes, form: str, **destination: Any) -> Any:
    """The job, when it is over."""
    v2, url = cloud.client("sesv2"), await in_thread(upload, cloud, content)
    source = {"S3Url": url, "DataFormat": form}
    made = await in_thread(v2.create_import_job, ImportDestination=destination, ImportDataSource=source)
    return await until(lambda: v2.get_import_job(JobId=made["JobId"]))


async def exported(cloud: Amazon, form: str = "JSON", **source: Any) -> tuple[Any, bytes]:
    v2 = cloud.client("sesv2")
    destination = {"DataFormat": form}
    made = await in_thread(v2.create_export_job, ExportDataSource=source, ExportDestination=destination)
    job = await until(lambda: v2.get_export_job(JobId=made["JobId"]))
    assert job["JobStatus"] == "COMPLETED", job
    return job, await in_thread(fetch, job["ExportDestination"]["S3Url"])


async def until(job: Callable[[], Any]) -> Any:
    while True:
        found = await in_thread(job)
        if found["JobStatus"] in ("COMPLETED", "FAILED"):
            return found
        assert found["JobStatus"] in ("CREATED", "PROCESSING")
        await asyncio.sleep(0.1)


async def listed(cloud: Amazon) -> dict[str, str]:
    found, token = {}, {}
    while True:
        page = await in_thread(cloud.client("sesv2").list_suppressed_destinations, **token)
        found |= {each["EmailAddress"]: each["Reason"] for each in page["SuppressedDestinationSummaries"]}
        if "NextToken" not in page:
            return found
        token = {"NextToken": page["NextToken"]}


async def test_ten_thousand_suppressions_are_imported_and_those_that_are_none_are_counted(cloud: Amazon) -> None:
    lines = []
    for number in range(RECORDS):
        match number % 100:
            case 7:
                lines.append("nobody,BOUNCE")
            case 8:
                lines.append(f"p{number}@dest.test,SPAM")
            case _:
                lines.append(f"p{number}@dest.test,{'COMPLAINT' if number % 2 else 'BOUNCE'}")
    destination = {"SuppressionListDestination": {"SuppressionListImportAction": "PUT"}}
    job = await imported(cloud, "\r\n".join(lines).encode(), "CSV", **destination)
    assert (job["JobStatus"], job["ProcessedRecordsCount"], job["FailedRecordsCount"]) == ("COMPLETED", RECORDS, 200)
    assert job["ImportDestination"] == destination
    refused = [
        json.loads(line) for line in (await in_thread(fetch, job["FailureInfo"]["FailedRecordsS3Url"])).splitlines()
    ]
    assert len(refused) == 200
    assert refused[0]["record"] == "nobody,BOUNCE"
    assert "BOUNCE, COMPLAINT" in refused[1]["error"]
    found = await listed(cloud)
    assert len(found) == RECORDS - 200
    assert (found["p10@dest.test"], found["p11@dest.test"]) == ("BOUNCE", "COMPLAINT")

    # And taken off again, as JSON lines.
    gone = b"".join(b'{"emailAddress": "p%d@dest.test"}\n' % number for number in range(RECORDS) if number != 11)
    destination = {"SuppressionListDestination": {"SuppressionListImportAction": "DELETE"}}
    job = await imported(cloud, gone, "JSON", **destination)
    assert (job["ProcessedRecordsCount"], job["FailedRecordsCount"]) == (RECORDS - 1, 0)
    assert await listed(cloud) == {"p11@dest.test": "COMPLAINT"}

    v2 = cloud.client("sesv2")
    page = await in_thread(v2.list_import_jobs, PageSize=1)
    assert page["ImportJobs"][0]["JobId"] == job["JobId"]
    rest = await in_thread(v2.list_import_jobs, NextToken=page["NextToken"])
    assert (len(rest["ImportJobs"]), "NextToken" in rest) == (1, False)
    assert not (await in_thread(v2.list_import_jobs, ImportDestinationType="CONTACT_LIST"))["ImportJobs"]


async def test_contacts_are_imported_as_a_whole(cloud: Amazon) -> None:
    v2 = cloud.client("sesv2")
    topics = [
        {"TopicName": name, "DisplayName": name, "DefaultSubscriptionStatus": "OPT_OUT"}
        for name in ("Sports", "Cycling")
    ]
    await in_thread(v2.create_contact_list, ContactListName="Readers", Topics=topics)
    named = {"ContactListName": "Readers"}
    said = [{"TopicName": "Cycling", "SubscriptionStatus": "OPT_IN"}]
    await in_thread(
        v2.create_contact, EmailAddress="ann@dest.test", TopicPreferences=said, AttributesData="old", **named
    )
    lines = [
        "emailAddress,unsubscribeAll,attributesData,topicPreferences.Sports,topicPreferences.Cycling",
        'ann@dest.test,false,"{""n"": ""1, 2""}",OPT_IN,',
        "bob@dest.test,true,,OPT_OUT,OPT_IN",
        "nobody,,,,",
        "eve@dest.test,perhaps,,,",
        "kim@dest.test,,,MAYBE,",
    ]
    destination = {"ContactListDestination": {**named, "ContactListImportAction": "PUT"}}
    job = await imported(cloud, "\n".join(lines).encode(), "CSV", **destination)
    assert (job["JobStatus"], job["ProcessedRecordsCount"], job["FailedRecordsCount"]) == ("COMPLETED", 5, 3)
    ann = await in_thread(v2.get_contact, EmailAddress="ann@dest.test", **named)
    assert ann["AttributesData"] == '{"n": "1, 2"}'
    assert ann["TopicPreferences"] == [{"TopicName": "Sports", "SubscriptionStatus": "OPT_IN"}]
    bob = await in_thread(v2.get_contact, EmailAddress="bob@dest.test", **named)
    assert bob["UnsubscribeAll"] is True
    assert [each["SubscriptionStatus"] for each in bob["TopicPreferences"]] == ["OPT_OUT", "OPT_IN"]

    record = {
        "emailAddress": "bob@dest.test",
        "unsubscribeAll": False,
        "topicPreferences": [{"topicName": "Cycling", "subscriptionStatus": "OPT_OUT"}],
    }
    unknown = {
        "emailAddress": "x@dest.test",
        "topicPreferences": [{"topicName": "Chess", "subscriptionStatus": "OPT_IN"}],
    }
    content = "\n".join(json.dumps(each) for each in (record, unknown)).encode()
    job = await imported(cloud, content, "JSON", **destination)
    assert (job["ProcessedRecordsCount"], job["FailedRecordsCount"]) == (2, 1)
    bob = await in_thread(v2.get_contact, EmailAddress="bob@dest.test", **named)
    assert (bob["UnsubscribeAll"], len(bob["TopicPreferences"])) == (False, 1)

    destination["ContactListDestination"]["ContactListImportAction"] = "DELETE"
    await imported(cloud, b"emailAddress\nbob@dest.test\nnever@dest.test\n", "CSV", **destination)
    assert [each["EmailAddress"] for each in (await in_thread(v2.list_contacts, **named))["Contacts"]] == [
        "ann@dest.test"
    ]
    job = await imported(cloud, b"email\nbob@dest.test\n", "CSV", **destination)
    assert job["JobStatus"] == "FAILED"
    assert "emailAddress" in job["FailureInfo"]["ErrorMessage"]


async def test_what_is_no_upload_of_ours_is_refused(cloud: Amazon) -> None:
    v2 = cloud.client("sesv2")
    destination = {"SuppressionListDestination": {"SuppressionListImportAction": "PUT"}}

    async def refused(url: str, words: str) -> None:
        source = {"S3Url": url, "DataFormat": "CSV"}
        with pytest.raises(v2.exceptions.BadRequestException, match=words):
            await in_thread(v2.create_import_job, ImportDestination=destination, ImportDataSource=source)

    await refused("s3://bucket/list.csv", "There is no S3 here: POST the file to /ses/uploads")
    await refused("s3://local/99", "There is no upload")
    url = await in_thread(upload, cloud, b"a@dest.test,BOUNCE\n", hashed=True)
    source = {"S3Url": url, "DataFormat": "CSV"}
    made = await in_thread(v2.create_import_job, ImportDestination=destination, ImportDataSource=source)
    await refused(url, "each is for one job")
    assert (await until(lambda: v2.get_import_job(JobId=made["JobId"])))["ProcessedRecordsCount"] == 1
    with pytest.raises(v2.exceptions.NotFoundException):
        await in_thread(v2.get_import_job, JobId="12345")
    for secret, content, status in (("x" * 40, b"a", 403), ("", b"a" * 300_000, 400)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            await in_thread(upload, cloud, content, secret=secret)
        with caught.value as error:
            assert error.code == status
            assert error.headers["x-amzn-errortype"]


async def test_messages_are_told_one_by_one_in_numbers_and_as_files(cloud: Amazon) -> None:
    v2 = cloud.client("sesv2")
    await in_thread(v2.put_suppressed_destination, EmailAddress="dead@dest.test", Reason="BOUNCE")
    sent = await in_thread(
        v2.send_email,
        FromEmailAddress=SENDER,
        Destination={"ToAddresses": ["good@dest.test", "dead@dest.test"]},
        Content={"Simple": BODY},
        EmailTags=[{"Name": "order", "Value": "7"}],
    )
    await cloud.mx.received(1)

    async def told(count: int) -> Any:
        while True:
            found = await in_thread(v2.get_message_insights, MessageId=sent["MessageId"])
            if sum(len(each["Events"]) for each in found["Insights"]) >= count:
                return found
            await asyncio.sleep(0.1)

    found = await told(4)
    assert (found["FromEmailAddress"], found["Subject"]) == (SENDER, "Hi")
    assert found["EmailTags"] == [{"Name": "order", "Value": "7"}]
    insights = {each["Destination"]: each for each in found["Insights"]}
    assert [each["Type"] for each in insights["good@dest.test"]["Events"]] == ["SEND", "DELIVERY"]
    (_, bounce) = insights["dead@dest.test"]["Events"]
    assert bounce["Type"] == "BOUNCE"
    assert bounce["Details"]["Bounce"]["BounceType"] == "PERMANENT"
    assert bounce["Details"]["Bounce"]["BounceSubType"] == "OnAccountSuppressionList"
    with pytest.raises(v2.exceptions.NotFoundException):
        await in_thread(v2.get_message_insights, MessageId=f"0100019a00000000-{uuid4()}-000000")

    now = datetime.now(UTC)
    times = {"StartDate": now - timedelta(days=1), "EndDate": now + timedelta(hours=1)}
    query = {"Namespace": "VDM", **times}

    async def numbers() -> Any:
        names = ("SEND", "DELIVERY", "TRANSIENT_BOUNCE")
        queries = [{"Id": name, "Metric": name, **query} for name in names]
        queries.append({"Id": "own", "Metric": "SEND", "Dimensions": {"EMAIL_IDENTITY": DOMAIN}, **query})
        queries.append({"Id": "other", "Metric": "SEND", "Dimensions": {"EMAIL_IDENTITY": "other.test"}, **query})
        while True:  # counting follows the log
            answer = await in_thread(v2.batch_get_metric_data, Queries=queries)
            sums = {each["Id"]: sum(each["Values"]) for each in answer["Results"]}
            if sums["SEND"] == 2:
                return sums, [each["Id"] for each in answer["Errors"]]
            await asyncio.sleep(0.2)

    assert await numbers() == ({"SEND": 2, "DELIVERY": 1, "own": 2, "other": 0}, ["TRANSIENT_BOUNCE"])
    assert (await in_thread(v2.list_recommendations))["Recommendations"] == []

    source = {**times, "Include": {"LastDeliveryEvent": ["PERMANENT_BOUNCE"]}}
    job, content = await exported(cloud, MessageInsightsDataSource=source)
    (row,) = map(json.loads, content.splitlines())
    assert (row["MessageId"], row["Destination"]) == (sent["MessageId"], "dead@dest.test")
    assert (job["ExportSourceType"], job["Statistics"]["ExportedRecordsCount"]) == ("MESSAGE_INSIGHTS", 1)
    _, content = await exported(cloud, "CSV", MessageInsightsDataSource=times)
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert {each["Destination"]: each["LastDeliveryEvent"] for each in rows} == {
        "good@dest.test": "DELIVERY",
        "dead@dest.test": "PERMANENT_BOUNCE",
    }
    measured = {
        "Namespace": "VDM",
        "Dimensions": {"EMAIL_IDENTITY": ["*"]},
        "Metrics": [{"Name": "DELIVERY", "Aggregation": "VOLUME"}, {"Name": "DELIVERY", "Aggregation": "RATE"}],
        **times,
    }
    job, content = await exported(cloud, "CSV", MetricsDataSource=measured)
    rows = [each for each in csv.DictReader(io.StringIO(content.decode())) if each["EMAIL_IDENTITY"] == DOMAIN]
    assert sum(float(each["Value"]) for each in rows if each["Aggregation"] == "VOLUME") == 1
    assert max(float(each["Value"]) for each in rows if each["Aggregation"] == "RATE") == 0.5
    jobs = (await in_thread(v2.list_export_jobs, ExportSourceType="METRICS_DATA"))["ExportJobs"]
    assert [each["JobId"] for each in jobs] == [job["JobId"]]
    with pytest.raises(v2.exceptions.BadRequestException, match="cannot be cancelled"):
        await in_thread(v2.cancel_export_job, JobId=job["JobId"])
    with pytest.raises(urllib.error.HTTPError) as caught:
        await in_thread(fetch, job["ExportDestination"]["S3Url"][:-1])
    with caught.value as error:
        assert error.code == 404


async def test_a_nul_in_a_file_of_contacts_costs_its_line_or_the_file_and_holds_up_nothing(cloud: Amazon) -> None:
    v2 = cloud.client("sesv2")
    await in_thread(v2.create_contact_list, ContactListName="L")
    to_list = {"ContactListDestination": {"ContactListName": "L", "ContactListImportAction": "PUT"}}
    head = await imported(cloud, b"emailAddress,topicPreferences.a\0b\nx@dest.test,OPT_IN\n", "CSV", **to_list)
    assert head["JobStatus"] == "FAILED" and "NUL" in head["FailureInfo"]["ErrorMessage"]
    lines = b'emailAddress,attributesData\nx@dest.test,"a\0b"\ny@dest.test,kept\n'
    record = b'{"emailAddress":"z@dest.test","attributesData":"a\\u0000b"}\n'
    for content, form, count in ((lines, "CSV", 2), (record, "JSON", 1)):
        job = await imported(cloud, content, form, **to_list)
        assert (job["JobStatus"], job["ProcessedRecordsCount"], job["FailedRecordsCount"]) == ("COMPLETED", count, 1)
    found = await in_thread(v2.list_contacts, ContactListName="L")
    assert [each["EmailAddress"] for each in found["Contacts"]] == ["y@dest.test"]
