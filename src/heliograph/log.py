"""Structured logging: one line an event, with an `action` for machines beside the sentence for people.

Secrets, numbers and message bodies never reach a line whole: `mask` runs over every event.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_NUMBER = re.compile(r"\+\d{7,15}")
_KEY = re.compile(r"KEY_[0-9a-f]{16}_\S+")
_PASSWORD = re.compile(r"://([^:/@\s]+):[^@\s]+@")
_HIDDEN = frozenset({"text", "body", "secret", "authorization", "api_key", "password", "subject"})


def get_logger(name: str) -> Any:
    """The logger of one part of the house."""
    return structlog.get_logger(part=name)


def configure(level: str, form: str) -> None:
    """Log to standard error: `form` is `json`, `text`, or `auto` for text on a terminal."""
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer: Any = console if text else structlog.processors.JSONRenderer()
    processors: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Before the mask, and without local variables: they hold keys and bodies.
        structlog.processors.format_exc_info,
        mask,
    ]
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def mask(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide what a log must not hold: whole fields by name, numbers, keys and passwords wherever they stand."""
    for name, value in event.items():
        if name in _HIDDEN:
            event[name] = "***"
        elif isinstance(value, str):
            event[name] = masked(value)
    return event


def masked(text: str) -> str:
    """`text` with numbers cut to their beginning, as a profile with redaction on wants them, and secrets left out."""
    text = _NUMBER.sub(lambda match: f"{match[0][:5]}***", text)
    text = _KEY.sub(lambda match: f"{match[0][:21]}***", text)
    return _PASSWORD.sub(r"://\1:***@", text)
