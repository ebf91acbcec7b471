"""Receipt rules and filters (v1): kept, ordered and read back. Nothing is received yet, so none of them acts."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from mailferry.endpoints.ses import account, names, paging
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError
from mailferry.resources import audit, documents
from mailferry.resources.documents import Document, Kind

_SET, _FILTER = Kind.RECEIPT_RULE_SET, Kind.RECEIPT_FILTER
#: Of an account, of a set, and of an account (quotas).
MAX_SETS, MAX_RULES, MAX_FILTERS = 40, 200, 100
#: What only Amazon can do.
_AMAZONS = {"S3Action": "S3", "LambdaAction": "Lambda", "WorkmailAction": "WorkMail", "ConnectAction": "Connect"}
_RULES = "Rules"

Rules = list[Mapping[str, Any]]


async def create_set(call: Call, params: Params) -> Result:
    await _add_set(call, params["RuleSetName"], [])
    return None


async def clone_set(call: Call, params: Params) -> Result:
    original = await _set(call, params["OriginalRuleSetName"])
    await _add_set(call, params["RuleSetName"], original.body[_RULES])
    return None


async def delete_set(call: Call, params: Params) -> Result:
    """Of none that is there, silently; of the active one, not at all."""
    name = params["RuleSetName"]
    if await _active(call) == name:
        text = f"Cannot delete active rule set: {name}"
        raise SesError("CannotDelete", text, members={"Name": name})

    def write(connection: Connection) -> None:
        if documents.remove(connection, call.account_id, _SET, name):
            _note(connection, call, "receipt_rule_set.deleted", name)

    await call.write(write)
    return None


async def describe_set(call: Call, params: Params) -> Result:
    return _described(await _set(call, params["RuleSetName"]))


async def describe_active_set(call: Call, params: Params) -> Result:
    name = await _active(call)
    return _described(await _set(call, name)) if name else None


async def set_active_set(call: Call, params: Params) -> Result:
    """Without a name: none is."""
    name = params.get("RuleSetName", "")
    if name:
        await _set(call, name)
    await account.change(call, rule_set=name)
    return None


async def list_sets(call: Call, params: Params) -> Result:
    after = paging.after(params)
    found = await call.read(lambda c: documents.page(c, call.account_id, _SET, after=after, most=101))
    shown, following = paging.page(found, 100, lambda each: each.name)
    return {"RuleSets": [_metadata(each) for each in shown], "NextToken": following}


async def reorder_set(call: Call, params: Params) -> Result:
    names = params["RuleNames"]

    def reordered(rules: Rules) -> Rules:
        by_name = {rule["Name"]: rule for rule in rules}
        if sorted(names) != sorted(by_name):
            raise SesError("InvalidParameterValue", "RuleNames must name every rule of the set, each once.")
        return [by_name[name] for name in names]

    await _change(call, params["RuleSetName"], reordered)
    return None


async def create_rule(call: Call, params: Params) -> Result:
    rule = _checked(params["Rule"])
    names.rule(rule["Name"], "A rule's name")

    def added(rules: Rules) -> Rules:
        if any(each["Name"] == rule["Name"] for each in rules):
            raise SesError("AlreadyExists", f"Rule already exists: {rule['Name']}", members={"Name": rule["Name"]})
        if len(rules) >= MAX_RULES:
            raise SesError("LimitExceeded", f"A rule set has at most {MAX_RULES} rules.")
        return _placed(rules, rule, params.get("After", ""))

    await _change(call, params["RuleSetName"], added)
    return None


async def update_rule(call: Call, params: Params) -> Result:
    rule = _checked(params["Rule"])

    def replaced(rules: Rules) -> Rules:
        _find(rules, rule["Name"])
        return [rule if each["Name"] == rule["Name"] else each for each in rules]

    await _change(call, params["RuleSetName"], replaced)
    return None


async def delete_rule(call: Call, params: Params) -> Result:
    """Of none that is there, silently."""
    name = params["RuleName"]
    await _change(call, params["RuleSetName"], lambda rules: [each for each in rules if each["Name"] != name])
    return None


async def describe_rule(call: Call, params: Params) -> Result:
    return {"Rule": _find((await _set(call, params["RuleSetName"])).body[_RULES], params["RuleName"])}


async def set_rule_position(call: Call, params: Params) -> Result:
    name = params["RuleName"]

    def moved(rules: Rules) -> Rules:
        rule = _find(rules, name)
        return _placed([each for each in rules if each["Name"] != name], rule, params.get("After", ""))

    await _change(call, params["RuleSetName"], moved)
    return None


async def create_filter(call: Call, params: Params) -> Result:
    name = names.rule(params["Filter"]["Name"], "A filter's name")

    def write(connection: Connection) -> bool:
        if documents.count(connection, call.account_id, _FILTER) >= MAX_FILTERS:
            raise SesError("LimitExceeded", f"An account has at most {MAX_FILTERS} receipt filters.")
        made = documents.add(connection, call.account_id, _FILTER, name, params["Filter"], call.now())
        if made:
            _note(connection, call, "receipt_filter.created", name)
        return made

    if not await call.write(write):
        raise SesError("AlreadyExists", f"Filter already exists: {name}", members={"Name": name})
    return None


async def delete_filter(call: Call, params: Params) -> Result:
    """Of none that is there, silently."""
    name = params["FilterName"]

    def write(connection: Connection) -> None:
        if documents.remove(connection, call.account_id, _FILTER, name):
            _note(connection, call, "receipt_filter.deleted", name)

    await call.write(write)
    return None


async def list_filters(call: Call, params: Params) -> Result:
    found = await call.read(lambda c: documents.page(c, call.account_id, _FILTER, most=MAX_FILTERS))
    return {"Filters": [each.body for each in found]}


async def _add_set(call: Call, name: str, rules: Sequence[Mapping[str, Any]]) -> None:
    names.rule(name, "A rule set's name")

    def write(connection: Connection) -> bool:
        if documents.count(connection, call.account_id, _SET) >= MAX_SETS:
            raise SesError("LimitExceeded", f"An account has at most {MAX_SETS} receipt rule sets.")
        made = documents.add(connection, call.account_id, _SET, name, {_RULES: rules}, call.now())
        if made:
            _note(connection, call, "receipt_rule_set.created", name)
        return made

    if not await call.write(write):
        raise SesError("AlreadyExists", f"Rule set already exists: {name}", members={"Name": name})


async def _set(call: Call, name: str) -> Document:
    found = await call.read(lambda c: documents.get(c, call.account_id, _SET, name))
    if found is None:
        raise _no_set(name)
    return found


async def _change(call: Call, name: str, changed: Any) -> None:
    def edited(body: Mapping[str, Any]) -> Mapping[str, Any]:
        return {_RULES: changed(list(body[_RULES]))}

    def write(connection: Connection) -> None:
        if not documents.change(connection, call.account_id, _SET, name, edited, call.now()):
            raise _no_set(name)
        _note(connection, call, "receipt_rule_set.updated", name)

    await call.write(write)


async def _active(call: Call) -> str:
    found = await call.read(lambda c: account.settings(c, call.account_id))
    name: str = found.get("rule_set", "")
    return name


def _checked(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    for action in rule.get("Actions", ()):
        for name in action:
            if name in _AMAZONS:
                why = f"there is no {_AMAZONS[name]} here. SNS, bounce, stop and add-header are kept."
                text = f"{name} is not supported by Mailferry: {why}"
                raise SesError("InvalidParameterValue", text)
    return {"Enabled": False, "ScanEnabled": False, "TlsPolicy": "Optional", "Actions": [], "Recipients": [], **rule}


def _placed(rules: Rules, rule: Mapping[str, Any], after: str) -> Rules:
    """Behind another one; without a name, before all."""
    place = 0
    if after:
        place = rules.index(_find(rules, after)) + 1
    return [*rules[:place], rule, *rules[place:]]


def _find(rules: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    for rule in rules:
        if rule["Name"] == name:
            return rule
    raise SesError("RuleDoesNotExist", f"Rule does not exist: {name}", members={"Name": name})


def _described(found: Document) -> Result:
    return {"Metadata": _metadata(found), "Rules": found.body[_RULES]}


def _metadata(found: Document) -> Mapping[str, Any]:
    return {"Name": found.name, "CreatedTimestamp": found.created_at}


def _no_set(name: str) -> SesError:
    return SesError("RuleSetDoesNotExist", f"Rule set does not exist: {name}", members={"Name": name})


def _note(connection: Connection, call: Call, event: str, name: str) -> None:
    audit.note(connection, call.account_id, call.actor, event, (event.partition(".")[0], name, name), call.now())
