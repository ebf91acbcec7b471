"""Import and export jobs, v2: of files that are uploaded here, and to files that are fetched here (transfers.py)."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from mailferry.endpoints.ses import export_files, import_files, paging, transfers
from mailferry.endpoints.ses.contact_lists import missing
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError, invalid, not_found
from mailferry.endpoints.ses.export_files import MOST_COMBINED, TooManyCombined
from mailferry.endpoints.ses.metrics import Uncounted
from mailferry.endpoints.ses.suppressions import actor
from mailferry.resources import audit
from mailferry.resources.contacts import exports, jobs, topics, uploads
from mailferry.resources.contacts.jobs import Job, Kind, Status

#: Of one page, and its default.
MOST = 100
METRICS, MESSAGES = "METRICS_DATA", "MESSAGE_INSIGHTS"
_STATUS = {
    Status.CREATED: "CREATED",
    Status.STARTED: "PROCESSING",
    Status.FINISHED: "COMPLETED",
    Status.FAILED: "FAILED",
    Status.CANCELLED: "CANCELLED",
}
_OVER = (Status.FINISHED, Status.FAILED, Status.CANCELLED)


# --- imports -------------------------------------------------------------------------------------------------------


async def create_import(call: Call, params: Params) -> Result:
    destination, source = params["ImportDestination"], params["ImportDataSource"]
    if len(destination) != 1:
        raise invalid("Exactly one of SuppressionListDestination and ContactListDestination must be given")
    listed = destination.get("ContactListDestination")
    suppressed = destination.get("SuppressionListDestination")
    request = import_files.Request(
        source["DataFormat"],
        listed["ContactListImportAction"] if listed else suppressed["SuppressionListImportAction"],
        actor(call),
        source["S3Url"],
        listed["ContactListName"] if listed else "",
    )
    upload_id = transfers.id_of(source["S3Url"])

    def write(connection: Connection) -> None:
        if listed and topics.find(connection, call.account_id, request.list_name) is None:
            raise missing(request.list_name)
        said = msgspec.json.encode(request).decode()
        if not uploads.start(connection, call.account_id, upload_id, said, call.now()):
            raise invalid(f"There is no upload {request.source}, or a job has it already: each is for one job.")
        _tell(call, connection, "import_job.created", upload_id)

    await call.write(write)
    return {"JobId": str(upload_id)}


async def get_import(call: Call, params: Params) -> Result:
    def read(connection: Connection) -> tuple[Job, bool]:
        job = _job(connection, call, Kind.FILE_IMPORT, params["JobId"])
        return job, bool(uploads.refused(connection, job.id))

    job, refused = await call.read(read)
    request = _import_request(job)
    failures = {"ErrorMessage": job.error} if job.status is Status.FAILED else {}
    if refused:
        failures["FailedRecordsS3Url"] = transfers.link(call, transfers.REFUSED, job, "JSON")
    return {
        **_import(job),
        "ImportDataSource": {"S3Url": request.source, "DataFormat": request.format},
        "FailureInfo": failures or None,
        "CompletedTimestamp": job.updated_at if job.status in _OVER else None,
    }


async def list_imports(call: Call, params: Params) -> Result:
    wanted = params.get("ImportDestinationType", "")
    found, token = await _page(call, Kind.FILE_IMPORT, params)
    chosen = [each for each in found if not wanted or wanted == _import_type(each)]
    return {"ImportJobs": [_import(each) for each in chosen], "NextToken": token}


def _import(job: Job) -> dict[str, Any]:
    request = _import_request(job)
    destination: dict[str, Any]
    if request.list_name:
        named = {"ContactListName": request.list_name, "ContactListImportAction": request.action}
        destination = {"ContactListDestination": named}
    else:
        destination = {"SuppressionListDestination": {"SuppressionListImportAction": request.action}}
    return {
        "JobId": str(job.id),
        "ImportDestination": destination,
        "JobStatus": _STATUS[job.status],
        "CreatedTimestamp": job.created_at,
        "ProcessedRecordsCount": job.created_count,
        "FailedRecordsCount": job.failed_count,
    }


def _import_request(job: Job) -> import_files.Request:
    return msgspec.json.decode(job.request, type=import_files.Request)


def _import_type(job: Job) -> str:
    return "CONTACT_LIST" if _import_request(job).list_name else "SUPPRESSION_LIST"


# --- exports -------------------------------------------------------------------------------------------------------


async def create_export(call: Call, params: Params) -> Result:
    """Metrics are counted already, and their file is written at once; that of messages is a job's work."""
    source, destination = params["ExportDataSource"], params["ExportDestination"]
    if len(source) != 1:
        raise invalid("Exactly one of MetricsDataSource and MessageInsightsDataSource must be given")
    ((word, given),) = source.items()
    if given["StartDate"] >= given["EndDate"]:
        raise invalid("StartDate must be before EndDate")
    request = export_files.Request(METRICS if word == "MetricsDataSource" else MESSAGES, given, destination)
    file = await _metrics_file(call, request) if request.kind == METRICS else None
    said, now = msgspec.json.encode(request).decode(), call.now()

    def write(connection: Connection) -> int:
        if file is not None:
            job_id = exports.finished(connection, call.account_id, Kind.REPORT, said, *file, now)
        else:
            job_id = jobs.create(connection, call.account_id, Kind.REPORT, now, request=said)
        _tell(call, connection, "export_job.created", job_id)
        return job_id

    return {"JobId": str(await call.write(write))}


async def get_export(call: Call, params: Params) -> Result:
    job = await call.read(lambda connection: _job(connection, call, Kind.REPORT, params["JobId"]))
    request = _export_request(job)
    form = request.destination["DataFormat"]
    url = transfers.link(call, transfers.EXPORTS, job, form) if exports.available(job, call.now()) else None
    word = "MetricsDataSource" if request.kind == METRICS else "MessageInsightsDataSource"
    return {
        **_export(job),
        "ExportDestination": {"DataFormat": form, "S3Url": url},
        "ExportDataSource": {word: request.source},
        "FailureInfo": {"ErrorMessage": job.error} if job.status is Status.FAILED else None,
        "Statistics": {"ProcessedRecordsCount": job.created_count, "ExportedRecordsCount": job.created_count},
    }


async def list_exports(call: Call, params: Params) -> Result:
    kind, status = params.get("ExportSourceType", ""), params.get("JobStatus", "")
    found, token = await _page(call, Kind.REPORT, params)
    shown = [_export(each) for each in found]
    chosen = [each for each in shown if kind in ("", each["ExportSourceType"]) and status in ("", each["JobStatus"])]
    return {"ExportJobs": chosen, "NextToken": token}


async def cancel_export(call: Call, params: Params) -> Result:
    def write(connection: Connection) -> None:
        job = _job(connection, call, Kind.REPORT, params["JobId"])
        if not jobs.cancel(connection, job, call.now()):
            raise invalid(f"Export job {job.id} is {_STATUS[job.status]} and cannot be cancelled.")
        _tell(call, connection, "export_job.cancelled", job.id)

    await call.write(write)
    return {}


async def _metrics_file(call: Call, request: export_files.Request) -> tuple[bytes, int]:
    try:
        return await call.read(lambda connection: export_files.metrics_file(connection, call.account_id, request))
    except Uncounted as error:
        raise invalid(str(error)) from None
    except TooManyCombined:
        raise invalid(f"The dimensions have more than {MOST_COMBINED} combinations") from None


def _export(job: Job) -> dict[str, Any]:
    return {
        "JobId": str(job.id),
        "ExportSourceType": _export_request(job).kind,
        "JobStatus": _STATUS[job.status],
        "CreatedTimestamp": job.created_at,
        "CompletedTimestamp": job.updated_at if job.status in _OVER else None,
    }


def _export_request(job: Job) -> export_files.Request:
    return msgspec.json.decode(job.request, type=export_files.Request)


# --- both ----------------------------------------------------------------------------------------------------------


def _job(connection: Connection, call: Call, kind: Kind, text: str) -> Job:
    found = jobs.by_id(connection, call.account_id, kind, _number(text))
    if found is None:
        raise not_found(f"Job {text[:200]} does not exist.")
    return found


def _number(text: str) -> int:
    """0: it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


async def _page(call: Call, kind: Kind, params: Mapping[str, Any]) -> tuple[list[Job], str | None]:
    """Newest first. A filter is applied to a page, which may then be shorter than asked, as at Amazon."""
    most, after = paging.size(params, MOST, MOST), paging.after(params)
    before = _number(after)
    if after and not before:
        raise SesError("InvalidNextToken", f"Invalid NextToken <{params['NextToken'][:100]}>.")
    found = await call.read(lambda c: jobs.page(c, call.account_id, kind, before=before, limit=most + 1))
    shown, following = paging.page(found, most, lambda each: str(each.id))
    return list(shown), following


def _tell(call: Call, connection: Connection, event: str, job_id: int) -> None:
    audit.note(connection, call.account_id, call.actor, event, (event.partition(".")[0], job_id, ""), call.now())
