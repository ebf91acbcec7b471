"""What is done of jobs in the background (resources/contacts/work.py), a piece at a time."""

from collections.abc import Callable, Mapping

from mailferry.endpoints.ses import export_files, import_files
from mailferry.resources.contacts import exports
from mailferry.resources.contacts.jobs import Job, Kind
from mailferry.resources.contacts.work import Step, Store


def steps(database: Store, clock: Callable[[], int]) -> Mapping[Kind, Step]:
    async def of_import(job: Job) -> Job | None:
        goes_on = await database.write(lambda connection: import_files.work(connection, job, clock()))
        return job if goes_on else None

    async def of_report(job: Job) -> Job | None:
        # Read on a reading connection: on SQLite nobody who writes has to wait for it.
        piece = await database.read(lambda connection: export_files.messages_piece(connection, job))
        return await database.write(lambda connection: exports.keep(connection, job, piece, clock()))

    return {Kind.FILE_IMPORT: of_import, Kind.REPORT: of_report}
