"""What a file of this room says of a function behind the paths; what follows from table.py is not repeated here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from mailferry.endpoints.mailtrap.openapi.schemas import Schema

#: Marks an operation that Mailtrap does not have.
OWN = "x-mailferry-own"

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Families(Generic[T_co]):
    """Where the paths below an account and the paths without it differ."""

    older: T_co
    newer: T_co


T = TypeVar("T")


def in_family(value: T | Families[T], older: bool) -> T:
    if isinstance(value, Families):
        return value.older if older else value.newer
    return value


@dataclass(frozen=True, slots=True)
class Answer:
    """``content``: a schema by media type; an answer without any has no body. ``name``: the document holds it once."""

    about: str
    content: Mapping[str, Schema] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """The body. ``wrapper``: the member that holds it, in a family that wants one."""

    schema: Schema
    wrapper: str | Families[str] = ""
    required: bool = True
    example: Any = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """Of the query."""

    name: str
    schema: Schema
    about: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Declared:
    """``answers`` come on top of those that each path has (answers.py), and replace those of the same status; None: there is none."""

    summary: str
    answers: Mapping[int, Answer | Families[Answer | None] | None]
    body: Asked | None = None
    query: tuple[Parameter, ...] | Families[tuple[Parameter, ...]] = ()
    about: str = ""
    #: Mailtrap has no such operation.
    ours: bool = False


def json(schema: Schema, about: str = "Done.", headers: tuple[str, ...] = (), name: str = "") -> Answer:
    return Answer(about, {"application/json": schema}, headers, name)


def enveloped(schema: Schema, about: str = "Done.") -> Answer:
    return json({"type": "object", "properties": {"data": schema}, "required": ["data"]}, about)


GONE = Answer("Deleted.")
