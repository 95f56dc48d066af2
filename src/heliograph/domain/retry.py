"""How long to wait before something is tried again."""


def backoff(attempt: int, base: int, maximum: int, random: float) -> int:
    """Microseconds before try `attempt + 1`: `base` doubled with each attempt made, at most `maximum`.

    `attempt` counts from 1; `random` in [0, 1) spreads the wait over its upper half, so that many messages refused in
    one moment do not come back in one moment.
    """
    doubled = base << min(attempt - 1, 40)
    wait = min(doubled, maximum)
    return int(wait * (0.5 + random / 2))
