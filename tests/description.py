"""The provider's OpenAPI description, and where our answers differ from it on purpose.

Every answer that a test gets over the wire is held against it (`check`), whatever the test is about. A difference that
is not listed here, with its reason, fails the test that got the answer.

The description is not part of this project. HELIOGRAPH_TEST_OPENAPI names the file; without it, a folder `contract` in
a neighbour of the checkout is looked into, and nothing is held against it when nothing is there.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
from jsonschema import Draft202012Validator, FormatChecker, ValidationError

BESIDE = Path(__file__).resolve().parents[2]

_SHOWN_SCHEDULED = "the page on scheduling shows it, the schema of a send lacks it (Contract 1.3)"
_COST_OF_CANCELLED = "the cancel page has the number 0 and null, the schema two texts"
_ERRORS_OF_CANCEL = "errors[] as everywhere, which the SDKs read as well as the bare error (Contract 1.6, 13 #2)"


class Difference(NamedTuple):
    """A place, `*` for any index, and the rule of the schema that it breaks; in answers to some operations only."""

    operations: str
    """A pattern of `METHOD path status`."""
    place: str
    reason: str
    values: tuple[object, ...] = ()
    """Only these values; none stands for any."""


DIFFERENCES = (
    Difference(r"(POST|GET) /messages.* 200", "/data/to/*/status enum", _SHOWN_SCHEDULED, ("scheduled", "cancelled")),
    Difference(r"GET /messages/group/.* 200", "/data/*/to/*/status enum", _SHOWN_SCHEDULED),
    Difference(r"GET /messages.* 200", "/data/cost/amount type", _COST_OF_CANCELLED, (0,)),
    Difference(r"GET /messages.* 200", "/data/cost/currency type", _COST_OF_CANCELLED, (None,)),
    Difference(r"DELETE /messages/.* 200", "/cost/amount type", _COST_OF_CANCELLED, (0,)),
    Difference(r"DELETE /messages/.* 200", "/cost/currency type", _COST_OF_CANCELLED, (None,)),
    Difference(r"DELETE /messages/.* 40[34]", "/ required", _ERRORS_OF_CANCEL),
    Difference(
        r"GET /webhook_deliveries.* 200",
        "/data/*/status enum",
        "what is still under way is shown to whoever filters for it, and the schema has no word for it",
        ("pending",),
    ),
    Difference(r"GET /webhook_deliveries/.* 200", "/data/status enum", "the same of one", ("pending",)),
    Difference(
        r"GET /messages/.* 200",
        "/data/media/*/size type",
        "of media that nobody fetched nothing is known; null as in the schemas of outbound messages",
        (None,),
    ),
    Difference(r"GET /messaging_optouts 40[01]", "/ required", _ERRORS_OF_CANCEL),
    Difference(r"DELETE /10dlc/brand/.* 40[04]", "/ required", _ERRORS_OF_CANCEL),
    Difference(r"POST /10dlc/campaignBuilder 400", "/ required", _ERRORS_OF_CANCEL),
    Difference(
        r".*",
        "/data/whitelisted_destinations/* pattern",
        "the schema's own description allows '*', its pattern does not",
        ("*",),
    ),
    Difference(r".*", "/data/*/whitelisted_destinations/* pattern", "the same in a list", ("*",)),
    Difference(
        r"GET /detail_records 200",
        "/data/* oneOf",
        "the kinds of records require nothing but a `record_type` of any value, so each record is of several kinds; "
        "test_detail_records.py holds ours to the kind it is of",
    ),
)

# Narrower than RFC 3339: one form for every time that we tell.
FORMATS = {
    "date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    # Empty where it is unset: the description's own default on profiles, and so in real answers (Contract 3.7, 6.1).
    "url": r"(https?://[^/].*)?",
    "json-pointer": r"(/([^~/]|~[01])*)*",
}


class UndescribedAnswer(AssertionError):
    """An answer differs from the description where nobody meant it to."""


@cache
def description() -> Any:
    """The description; None where it is not at hand."""
    named = os.environ.get("HELIOGRAPH_TEST_OPENAPI")  # noqa: TID251 - not a setting of the service
    found = [Path(named)] if named else sorted(BESIDE.glob("*/contract/messaging-openapi.json"))
    return json.loads(found[0].read_bytes()) if found else None


def check(method: str, url: str, status: int, body: bytes) -> None:
    """Hold an answer against the description, if it has that operation. Raises `UndescribedAnswer`."""
    path = urlsplit(url).path.removeprefix("/v2")
    template = None if description() is None else template_of(method, path)
    validator = None if template is None else validator_for(method, template, status)
    if validator is None:
        return
    what = f"{method} {template} {status}"
    found = [each for each, value in breaches(validator, json.loads(body)).items() if not is_meant(what, each, value)]
    if found:
        raise UndescribedAnswer(f"{what}: {', '.join(sorted(found))} in {body[:2000].decode(errors='replace')}")


def hold(response: httpx.Response) -> None:
    """The same for an answer that httpx got: a hook of its clients."""
    check(response.request.method, str(response.request.url), response.status_code, response.read())


async def hold_async(response: httpx.Response) -> None:
    """The same for its asynchronous clients."""
    check(response.request.method, str(response.request.url), response.status_code, await response.aread())


def is_meant(what: str, breach: str, value: object) -> bool:
    """Whether a difference in the answer to `METHOD path status` is a listed one."""
    place = re.sub(r"/\d+(?=[/ ])", "/*", breach)
    return any(
        place == each.place and re.fullmatch(each.operations, what) and (not each.values or value in each.values)
        for each in DIFFERENCES
    )


@cache
def template_of(method: str, path: str) -> str | None:
    """The path of the description that a path is an instance of, a fixed one before one with parameters."""
    fitting = [
        template
        for template, operations in description()["paths"].items()
        if method.lower() in operations and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)
    ]
    return min(fitting, key=lambda template: template.count("{"), default=None)


@cache
def validator_for(method: str, template: str, status: int) -> Draft202012Validator | None:
    """Judges an answer; None where the description says nothing of its status."""
    schema = response_schema(method, template, status)
    return None if schema is None else validator(schema)


def validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    """Judges by a schema of the description."""
    whole = {**schema, "components": description()["components"]}
    return Draft202012Validator(whole, format_checker=_format_checker())


def response_schema(method: str, template: str, status: int) -> Mapping[str, Any] | None:
    """The schema of an answer; its own status before the range that the status lies in."""
    responses = description()["paths"][template][method.lower()]["responses"]
    declared = responses.get(str(status)) or responses.get(f"{status // 100}XX")
    if declared is None:
        return None
    content = resolved(declared).get("content", {})
    schema: Mapping[str, Any] | None = content.get("application/json", {}).get("schema")
    return schema


def resolved(node: Any) -> Any:
    """What a reference points to, or the node itself."""
    while "$ref" in node:
        target = description()
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def breaches(judge: Draft202012Validator, body: object) -> Mapping[str, object]:
    """Each place in a body that does not fit, with the rule that it breaks, and what is there."""
    return {
        f"/{'/'.join(map(str, each.absolute_path))} {each.validator}": each.instance
        for error in judge.iter_errors(body)
        for each in _leaves(error)
    }


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """An error; for one of alternatives, those of the alternative that fits best."""
    if not error.context:
        yield error
        return
    branches: dict[Any, list[ValidationError]] = {}
    for each in error.context:
        branches.setdefault(each.relative_schema_path[0], []).append(each)
    for each in min(branches.values(), key=len):
        yield from _leaves(each)


def _format_checker() -> FormatChecker:
    """Knows the formats that the description gives texts; what is no text is judged by its type."""
    checker = FormatChecker(formats=())
    for name, pattern in FORMATS.items():
        fits = re.compile(pattern).fullmatch
        checker.checks(name)(lambda value, fits=fits: not isinstance(value, str) or fits(value) is not None)
    return checker
