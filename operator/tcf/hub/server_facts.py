"""What an API server says about itself: its version, its clock, and the fields of our kind that it knows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp

from tcf.core import model
from tcf.hub import errors
from tcf.hub.client import HubClient
from tcf.hub.credentials import Credentials
from tcf.hub.federations import GROUP, KIND, VERSION
from tcf.hub.records import reading, wire_names
from tcf.hub.sessions import cause, open_session


@dataclass(frozen=True, slots=True)
class KnownFields:
    """The fields of spec and status that only one side knows: this program, or the CRD on the hub."""

    only_here: tuple[str, ...]
    only_there: tuple[str, ...]


async def server_version(client: HubClient, *, deadline: float) -> str:
    """Such as v1.37.2. Raises HubError."""
    answer = await client.request("GET", "/version", deadline=deadline)
    with reading("the version of the API server"):
        return str(answer["gitVersion"])


async def known_fields(client: HubClient, *, deadline: float) -> KnownFields:
    """Compare the CRD on the hub with this program. Everybody who has authenticated may read the schema.

    Raises HubError.
    """
    path = f"/openapi/v3/apis/{GROUP}/{VERSION}"
    answer = await client.request("GET", path, deadline=deadline)
    with reading("the schema of the API server"):
        schemas = answer["components"]["schemas"]
        properties = next(value["properties"] for name, value in schemas.items() if name.endswith(f".{KIND}"))
        there = {f"{part}.{field}" for part in ("spec", "status") for field in properties[part]["properties"]}
    here = {f"spec.{field}" for field in wire_names(model.Spec)}
    here |= {f"status.{field}" for field in wire_names(model.Status)}
    return KnownFields(tuple(sorted(here - there)), tuple(sorted(there - here)))


async def server_time(credentials: Credentials, *, deadline: float) -> datetime | None:
    """The time of the API server, in whole seconds; None if a proxy has removed it. Raises HubError."""
    connection = await credentials.current()
    try:
        async with (
            open_session(connection, "kubectl-tcf", lambda _: None) as session,
            session.get(
                f"{connection.server}/version", timeout=aiohttp.ClientTimeout(total=deadline)
            ) as answer,
        ):
            date = answer.headers.get("Date")
    except (TimeoutError, aiohttp.ClientError) as error:
        message = f"cannot reach the hub at {connection.where}: {cause(error)}"
        raise errors.UnreachableError(message) from error
    try:
        return parsedate_to_datetime(date).astimezone(UTC) if date else None
    except ValueError:
        return None
