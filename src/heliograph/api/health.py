"""Whether a process lives, and whether it can do its work now: what monitors and proxies ask.

    GET /healthz --> the event loop answers                               restart who does not
    GET /readyz --> so does the database, and its schema is one of ours   give no request to who cannot

The first asks no database: all processes share one, and to restart them would not bring it back.
"""

import asyncio

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from heliograph.clock import monotonic
from heliograph.domain.instant import MILLISECOND, SECOND
from heliograph.log import get_logger
from heliograph.store.engine import Engine, StoreUnavailable
from heliograph.store.schema import UnusableSchema, require_usable

logger = get_logger("health")

PATIENCE = 800 * MILLISECOND
"""How long the database is waited for: Kubernetes gives a probe a second, HAProxy two, as it is set up here."""
LASTS = SECOND // 2
"""How long an answer is good for: whoever asks more often adds nothing to what the database does."""
SILENT = "the database does not answer"


class Readiness:
    """Looks at the database when it is asked, never twice at a time; whoever asks meanwhile shares the look."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._look: asyncio.Task[str | None] | None = None
        self._looked_at = 0
        self._told: str | None = None

    async def why_not(self) -> str | None:
        """Why requests cannot be answered now; None when they can."""
        if self._look is None or (self._look.done() and monotonic() >= self._looked_at + LASTS):
            self._look = asyncio.create_task(self._looked(), name="readiness")
        # A connection that is given up may take longer to close than anybody wants to wait.
        await asyncio.wait([self._look], timeout=PATIENCE / SECOND)
        return self._look.result() if self._look.done() else SILENT

    async def _looked(self) -> str | None:
        reason, detail = None, ""
        try:
            async with asyncio.timeout(PATIENCE / SECOND):
                await require_usable(self._engine)
        except (StoreUnavailable, TimeoutError) as error:
            # What the driver says names hosts, and anybody may ask.
            reason, detail = SILENT, str(error)
        except UnusableSchema as error:
            reason = detail = str(error)
        self._looked_at = monotonic()
        self._tell(reason, detail)
        return reason

    def _tell(self, reason: str | None, detail: str) -> None:
        """Log what has changed."""
        if reason is None and self._told is not None:
            logger.info("the database can be used again", action="ready")
        elif reason != self._told:
            logger.warning("the database cannot be used", action="not_ready", reason=detail)
        self._told = reason


def health_routes(engine: Engine) -> list[Route]:
    """Both, for whichever process."""
    readiness = Readiness(engine)

    async def ready(_request: Request) -> Response:
        reason = await readiness.why_not()
        return PlainTextResponse("ready\n") if reason is None else PlainTextResponse(f"not ready: {reason}\n", 503)

    return [Route("/healthz", _healthy), Route("/readyz", ready)]


async def _healthy(_request: Request) -> Response:
    return PlainTextResponse("ok\n")
