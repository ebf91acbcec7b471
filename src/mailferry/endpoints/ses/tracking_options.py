"""What links of a configuration set's mail stand under: a name of the customer's own, where readers can reach us by it."""

from collections.abc import Callable

from sqlalchemy import Connection

from mailferry.endpoints.ses import identity
from mailferry.endpoints.ses.configuration_set import Body, changed
from mailferry.endpoints.ses.deps import Call, Params, Result
from mailferry.endpoints.ses.errors import SesError
from mailferry.endpoints.ses.identity_settings import want_host
from mailferry.resources import custom_hosts, domains
from mailferry.resources.custom_hosts import LINKS


async def put_v2(call: Call, params: Params) -> Result:
    await check(call, params)
    options = {name: value for name, value in params.items() if name != "ConfigurationSetName"}
    await changed(call, params["ConfigurationSetName"], lambda body: body.update(TrackingOptions=options))
    return None


async def create_v1(call: Call, params: Params) -> Result:
    name = params["ConfigurationSetName"]
    await check(call, params["TrackingOptions"])

    def change(body: Body) -> None:
        if body.get("TrackingOptions", {}).get("CustomRedirectDomain"):
            text = f"Tracking options already exist in configuration set <{name}>."
            raise SesError("TrackingOptionsAlreadyExistsException", text, members={"ConfigurationSetName": name})
        body["TrackingOptions"] = dict(params["TrackingOptions"])

    await changed(call, name, change)
    return None


async def update_v1(call: Call, params: Params) -> Result:
    await check(call, params["TrackingOptions"])
    return await _tracked(call, params, lambda body: body.update(TrackingOptions=dict(params["TrackingOptions"])))


async def delete_v1(call: Call, params: Params) -> Result:
    return await _tracked(call, params, lambda body: body.pop("TrackingOptions"))


async def _tracked(call: Call, params: Params, then: Callable[[Body], object]) -> Result:
    """Changes tracking options that are there."""
    name = params["ConfigurationSetName"]

    def change(body: Body) -> None:
        if not body.get("TrackingOptions", {}).get("CustomRedirectDomain"):
            text = f"There are no tracking options in configuration set <{name}>."
            raise SesError("TrackingOptionsDoesNotExistException", text, members={"ConfigurationSetName": name})
        then(body)

    await changed(call, name, change)
    return None


async def check(call: Call, options: Params) -> None:
    """A name for links must be below a verified identity; from now on it is looked up and served."""
    given = options.get("CustomRedirectDomain", "")
    if not given:
        if "HttpsPolicy" not in options:
            raise SesError("InvalidTrackingOptions", "A custom redirect domain must be specified.")
        return
    unproven = SesError("InvalidTrackingOptions", f"Domain <{given[:300]}> is not verified under this account.")
    try:
        host = domains.spelled(given)
    except ValueError:
        raise unproven from None

    def write(connection: Connection) -> None:
        if not identity.proof_of(connection, call.account_id, host):
            raise unproven
        want_host(connection, call, LINKS, host)

    await call.write(write)
    call.deps.look_up_host(call.account_id, custom_hosts.named(LINKS, host))
