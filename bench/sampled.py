"""`python -m bench.sampled FILE <heliograph's arguments>`: Heliograph with a sampling profiler in the process.

Every few milliseconds of processor time (not of time that passes) the interpreter is interrupted, and what it was doing
is counted under a stage. SIGUSR1 writes the counts so far to the file. Time in C counts for the Python code that called
it; what no Python code called, such as the event loop's own work and the database driver's, is a stage of its own.
"""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import greenlet

from heliograph.cli import main

INTERVAL = 0.004
"""Seconds of processor time: a tick of the kernel, which is as fine as the timer goes."""
FUNCTION = "@"
"""Begins the name of what is counted by the innermost function rather than by its stage."""
LOOP = "event loop, sockets and drivers in C, other threads"
# The innermost frame that is named here decides: a path within the source or a package, and a stage.
STAGES = (
    ("uvicorn/", "HTTP: parse, route, write"),
    ("starlette/", "HTTP: parse, route, write"),
    ("heliograph/api/auth", "recognise the key"),
    ("heliograph/api/body", "decode and check the body"),
    ("heliograph/api/shapes", "decode and check the body"),
    ("heliograph/domain/compose", "compose"),
    ("heliograph/domain/text", "compose"),
    ("heliograph/domain/address", "compose"),
    ("heliograph/domain/pricing", "compose"),
    ("heliograph/domain/planning", "compose"),
    ("heliograph/bodies", "make bodies"),
    ("heliograph/api/", "the rest of the endpoint"),
    ("heliograph/store/messages", "accept or cancel"),
    ("heliograph/store/claims", "claim"),
    ("heliograph/store/outcomes", "outcome"),
    ("heliograph/store/receipts", "receipt"),
    ("heliograph/store/deliveries", "webhook: claim and record"),
    ("heliograph/webhooks/", "webhook: make, sign, post"),
    ("heliograph/outgoing", "webhook: make, sign, post"),
    ("aiohttp/", "webhook: make, sign, post"),
    ("heliograph/dispatch/", "dispatch and submit"),
    ("heliograph/carriers/", "dispatch and submit"),
    ("heliograph/store/writer", "group commit: begin, commit, wake"),
    ("heliograph/store/", "other verbs of the store"),
    ("heliograph/", "the rest"),
)
# Used by the stages above alike, or what stands under everything because it runs the loop: who called is asked.
_SHARED = (
    *(f"heliograph/store/{name}" for name in ("batch", "engine", "outbox", "pace")),
    *(f"heliograph/{name}" for name in ("__main__", "cli", "commands/", "server", "service")),
    "uvicorn/server",
)
_SHARED_FUNCTIONS = {"to_message", "in_order"}

_counts: Counter[str] = Counter()
_known: dict[tuple[str, str], str | None] = {}


def _stage(frame: FrameType | None) -> str:
    for each in _callers(frame):
        code = each.f_code
        key = (code.co_filename, code.co_name)
        if key not in _known:
            _known[key] = _named(*key)
        if (stage := _known[key]) is not None:
            return stage
    return LOOP


def _callers(frame: FrameType | None) -> Iterator[FrameType]:
    """The frames from the innermost outwards, also out of the greenlets that SQLAlchemy runs in."""
    here = greenlet.getcurrent()
    while frame is not None:
        yield frame
        frame = frame.f_back
        if frame is None and here.parent is not None:
            here = here.parent
            frame = here.gr_frame


def _named(path: str, function: str) -> str | None:
    if function in _SHARED_FUNCTIONS or any(each in path for each in _SHARED):
        return None
    return next((stage for part, stage in STAGES if part in path), None)


def _sample(_number: int, frame: FrameType | None) -> None:
    _counts[_stage(frame)] += 1
    if frame is not None:
        code = frame.f_code
        _counts[f"{FUNCTION}{'/'.join(Path(code.co_filename).parts[-2:])} {code.co_name}"] += 1


def _write(path: Path) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(_counts))
    fresh.replace(path)


def _run() -> int:
    path = Path(sys.argv[1])
    signal.signal(signal.SIGUSR1, lambda *_: _write(path))
    signal.signal(signal.SIGPROF, _sample)
    # Python's and the libraries' waiting calls go on after a signal; a system call in C is started again.
    signal.siginterrupt(signal.SIGPROF, False)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
    return main(sys.argv[2:])


if __name__ == "__main__":
    status = _run()
    signal.setitimer(signal.ITIMER_PROF, 0)
    sys.stdout.flush()
    os._exit(status)
