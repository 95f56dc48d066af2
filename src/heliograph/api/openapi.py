"""The description of this service's own API, OpenAPI 3.1, made from the operations and their types.

    Resources --describe--> {"openapi": "3.1.0", "paths": ..., "components": ...}

It says what is served here, extensions included; the provider's own description is another text.
"""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from re import compile as regex
from types import UnionType
from typing import Any, get_args

import msgspec

from heliograph.api.operations import Operation, Parameter, Resources
from heliograph.api.paging import PageMeta

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"
_PARAMETER = regex(r"\{(\w+)\}")
_ALWAYS = (400, 401, 405, 429, 500, 503)
_WITH_BODY = (403, 409, 413, 415, 422)


class ErrorSource(msgspec.Struct):
    """Where in the request: a pointer into its body (RFC 6901) or the name of a query parameter."""

    pointer: str | msgspec.UnsetType = msgspec.UNSET
    parameter: str | msgspec.UnsetType = msgspec.UNSET


class Error(msgspec.Struct):
    """One thing that is wrong (Contract 2.1)."""

    code: str
    title: str
    detail: str
    meta: dict[str, object]
    source: ErrorSource | msgspec.UnsetType = msgspec.UNSET


class Errors(msgspec.Struct):
    """The answer to a request that is not taken."""

    errors: list[Error]


def describe(resources: Resources, prefix: str, beside: Resources, version: str) -> Json:
    """The description of `resources` below `prefix` and of what is served `beside` them without a key."""
    served = [(prefix + path, methods, True) for path, methods in resources.items()]
    served += [(path, methods, False) for path, methods in beside.items()]
    types = [each for _, methods, _ in served for operation in methods.values() for each in _types(operation)]
    every = [*types, Errors, PageMeta]
    named, components = msgspec.json.schema_components(every, ref_template=_REF, schema_hook=_anything)
    schemas = _Schemas(zip(every, named, strict=True))
    paths: Json = {}
    for path, methods, keyed in served:
        paths[path] = {
            method.lower(): _operation(path, method, operation, schemas, keyed=keyed)
            for method, operation in methods.items()
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Heliograph", "version": version, "description": "The Telnyx Messaging API v2, self-hosted."},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _anything(wanted: type) -> Json:
    """The schema of a field that holds whatever JSON there is."""
    if wanted is object:
        return {"description": "Any JSON."}
    raise NotImplementedError(wanted)


class _Schemas:
    """The schemas of types; some types cannot be hashed, so they are found by being the same."""

    def __init__(self, pairs: Iterator[tuple[Any, Json]]) -> None:
        self._pairs = list(pairs)

    def of(self, wanted: Any) -> Json:
        if wanted is None:
            return {"type": "object"}
        if isinstance(wanted, UnionType):
            return {"anyOf": [self.of(each) for each in get_args(wanted)]}
        return next(schema for each, schema in self._pairs if each is wanted)


def _types(operation: Operation) -> Sequence[Any]:
    """Of a union each by itself: msgspec decodes none of several structs, and so describes none."""
    given = [each for each in (operation.body, operation.answer) if each is not None]
    return [part for each in given for part in (get_args(each) if isinstance(each, UnionType) else [each])]


def _operation(path: str, method: str, operation: Operation, schemas: _Schemas, *, keyed: bool) -> Json:
    described: Json = {
        "operationId": method.lower() + _PARAMETER.sub(r"by-\1", path).replace("/", "-"),
        "summary": operation.summary,
        "parameters": [*_path_parameters(path), *(_query_parameter(each) for each in operation.query)],
        "responses": {str(operation.status): _good(operation, schemas), **_refusals(path, operation, schemas, keyed)},
    }
    if operation.body is not None:
        described["requestBody"] = {"content": {"application/json": {"schema": schemas.of(operation.body)}}}
    if keyed:
        described["security"] = [{"key": []}]
    return described


def _path_parameters(path: str) -> Sequence[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(path)
    ]


def _query_parameter(parameter: Parameter) -> Json:
    schema = {"type": "string"} if parameter.schema is None else parameter.schema
    return {"name": parameter.name, "in": "query", "description": parameter.meaning, "schema": schema}


def _good(operation: Operation, schemas: _Schemas) -> Json:
    if operation.status == HTTPStatus.NO_CONTENT:
        return {"description": "Done."}
    return {
        "description": "Done.",
        "content": {operation.media_type: {"schema": _answered(operation, schemas)}},
    }


def _answered(operation: Operation, schemas: _Schemas) -> Mapping[str, Any]:
    schema = schemas.of(operation.answer)
    if operation.flat or operation.media_type != "application/json":
        return schema
    if not operation.listed:
        return {"type": "object", "properties": {"data": schema}, "required": ["data"]}
    properties = {"data": {"type": "array", "items": schema}, "meta": schemas.of(PageMeta)}
    return {"type": "object", "properties": properties, "required": ["data", "meta"]}


def _refusals(path: str, operation: Operation, schemas: _Schemas, keyed: bool) -> Json:
    wanted = {*_ALWAYS, *(_WITH_BODY if operation.body is not None else ())}
    if _PARAMETER.search(path):
        wanted |= {403, 404, 409}
    if not keyed:
        wanted -= {401, 429}
    wanted |= {*operation.refusals}
    return {
        str(status): {
            "description": HTTPStatus(status).phrase,
            "content": {"application/json": {"schema": schemas.of(Errors)}},
        }
        for status in sorted(wanted)
    }
