"""``mailferry templates``: listed and shown, and taken over from files or written to them, to keep them beside the code."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from mailferry.cli import show, template_files
from mailferry.cli.nouns import noun
from mailferry.cli.options import HERE, ForAccount, Json, Where
from mailferry.cli.reach import Failure, call
from mailferry.cli.show import Column
from mailferry.credentials import ACCOUNT

templates = noun("templates")


@templates.command(name="list")
def list_(*, where: Where = HERE, account: ForAccount = ACCOUNT, json: Json = False) -> None:
    """Show all templates, the newest first."""
    result = call(where.load(), "templates.list", account=account)
    columns = [
        Column("id", "Id"),
        Column("uuid", "UUID"),
        Column("name", "Name", folds=True),
        Column("category", "Category", folds=True),
        Column("version", "Version"),
        Column("updated", "Updated (UTC)"),
    ]
    rows = [{**each, "updated": show.moment(each["updated_at"])} for each in result]
    show.as_json(result) if json else show.table(rows, columns, "No templates.")


@templates.command(name="show")
def show_(
    template: Annotated[str, Parameter(help="Its id, UUID or name.")],
    /,
    *,
    where: Where = HERE,
    account: ForAccount = ACCOUNT,
    json: Json = False,
) -> None:
    """Show one template: what is sent of it, and which variables it reads."""
    result = call(where.load(), "templates.show", template=template, account=account)
    show.as_json(result) if json else _template(result)


@templates.command(name="import")
def import_(
    source: Annotated[
        Path,
        Parameter(help="A template's folder, a folder of such folders, or a JSON list as Mailtrap's API gives it."),
    ],
    /,
    *,
    where: Where = HERE,
    account: ForAccount = ACCOUNT,
    json: Json = False,
) -> int:
    """Make templates of files, or change those with the same UUID or name. Twice does no harm.

    The exit status is 1 when one of them could not be used; the others are taken over.
    """
    config, results = where.load(), []
    for place, given in template_files.read(source):
        try:
            done = call(config, "templates.put", **given, account=account)
            results.append({"from": place, "name": done["name"], "uuid": done["uuid"], "result": done["deed"]})
        except Failure as failure:
            results.append({"from": place, "name": given["name"], "uuid": None, "result": f"refused: {failure}"})
    if json:
        show.as_json(results)
    else:
        for each in results:
            show.line(f"{each['from']}: {each['result']}")
    return 1 if any(each["uuid"] is None for each in results) else 0


@templates.command
def export(
    target: Annotated[Path, Parameter(help="The folder to write a folder of each template to; it may be there.")],
    /,
    *,
    where: Where = HERE,
    account: ForAccount = ACCOUNT,
) -> None:
    """Write all templates to files; `import` reads them back, here or at another Mailferry."""
    config = where.load()
    found = call(config, "templates.list", account=account)
    try:
        for each in reversed(found):
            folder = template_files.write(
                target, call(config, "templates.show", template=each["uuid"], account=account)
            )
            show.line(str(folder))
    except OSError as error:
        raise Failure(f"{error.filename or target} cannot be written: {error.strerror}") from error
    show.line(f"{len(found):,} template{'' if len(found) == 1 else 's'} written.")


def _template(found: dict[str, Any]) -> None:
    missing = "an error" if found["strict"] else "nothing"
    pairs = [
        ("Name", found["name"]),
        ("Id", found["id"]),
        ("UUID", found["uuid"]),
        ("Category", found["category"]),
        ("Version", found["version"]),
        ("Changed", f"{show.moment(found['updated_at'])} UTC"),
        ("Rendered", f"{'with' if found['escape'] else 'without'} HTML escapes; a missing variable is {missing}"),
        ("Reads", found["reads"]),
        ("Subject", found["subject"]),
    ]
    show.facts(pairs)
    for name, field in (("HTML", "body_html"), ("Text", "body_text")):
        if found[field]:
            show.heading(name)
            show.text(found[field])
