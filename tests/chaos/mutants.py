"""A server with one bug in it: what an auditor must find if it is worth anything.

    python -m tests.chaos.mutants BUG serve ...

Each bug replaces one function or statement before the server starts.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import null, select, update

from heliograph import randomness
from heliograph.cli import main
from heliograph.dispatch.dispatcher import Dispatcher
from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import MILLISECOND, SECOND, Instant
from heliograph.domain.lifecycle import Status
from heliograph.store import claims
from heliograph.store import messages as message_verbs
from heliograph.store.batch import TEXT, Batch, Sql, scalar
from heliograph.store.messages import CANCEL, MESSAGE_COLUMNS, MessageVerbs, words
from heliograph.store.tables import messages
from heliograph.webhooks import sender
from heliograph.webhooks.signing import signed_headers

EVERY = 5
EARLY = 300 * MILLISECOND


def cancel_whatever_it_is() -> None:
    """The cancel has lost its condition on the status and the cut-off: what is being sent is cancelled too."""

    def cancel(sql: Sql) -> Any:
        rows = sql.rows.c
        return (
            update(messages)
            .where(messages.c.id == rows.id, messages.c.organization_id == rows.organization_id)
            .values(status=Status.CANCELLED.value, due_at=null())
            .returning(*MESSAGE_COLUMNS, sql.now.label("now"))
        )

    message_verbs.CANCEL = Batch(CANCEL.columns, cancel)


def submit_again_at_once() -> None:
    """A submit is repeated without anybody's leave."""
    give, passes = Dispatcher._give, iter(range(1_000_000))

    async def twice(self: Any, message: Any, until: int) -> Any:
        if next(passes) % EVERY == 0:
            await give(self, message, until)
        return await give(self, message, until)

    replaced: Any = Dispatcher
    replaced._give = twice


def claim_early() -> None:
    """What will be due soon is claimed too."""

    def due(sql: Sql, statuses: Sequence[Status]) -> Any:
        lane = messages.c.carrier == scalar("carrier", TEXT)
        soon = messages.c.due_at <= sql.now + EARLY
        chosen = select(messages.c.id).where(lane, soon, messages.c.status.in_(words(statuses)))
        return chosen.limit(scalar("limit")).with_for_update(skip_locked=True)

    claims._due = due


def name_the_attempt_not_the_event() -> None:
    """Each attempt of a webhook has an id of its own."""

    def drawn(keys: Any, event_id: str, seconds: int, body: bytes) -> dict[str, str]:
        return signed_headers(keys, randomness.new_id(Instant(seconds * SECOND)), seconds, body)

    vars(sender)["signed_headers"] = drawn


def find_for_anybody() -> None:
    """The condition on the organisation is gone from a read."""
    find = MessageVerbs.find

    async def anybodys(self: Any, organization_id: Any, message_id: Any) -> Any:
        owner = select(messages.c.organization_id).where(messages.c.id == message_id)
        rows = await self._engine.fetch(owner)
        return await find(
            self, OrganizationId(str(rows[0]["organization_id"])) if rows else organization_id, message_id
        )

    replaced: Any = MessageVerbs
    replaced.find = anybodys


BUGS: Mapping[str, tuple[str, Callable[[], None]]] = {
    "send after cancel": ("P1", cancel_whatever_it_is),
    "double submit": ("P3", submit_again_at_once),
    "early send": ("P4", claim_early),
    "an event id that changes": ("P6", name_the_attempt_not_the_event),
    "a foreign id that is found": ("P7", find_for_anybody),
}
"""The promise that each breaks."""


def program(bug: str) -> Sequence[str]:
    """What to run for it, before the arguments of `heliograph`."""
    return (sys.executable, "-m", "tests.chaos.mutants", bug)


if __name__ == "__main__":
    _, name, *arguments = sys.argv
    BUGS[name][1]()
    sys.exit(main(arguments))
