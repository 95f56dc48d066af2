"""When a number is called unhealthy."""

import pytest

from heliograph.domain.number_health import EVIDENCE, NumberHealth


@pytest.mark.parametrize(
    ("health", "unhealthy"),
    [
        (NumberHealth(), False),
        (NumberHealth(sent=100, finished=100, delivered=24), True),
        (NumberHealth(sent=100, finished=100, delivered=25), False),
        (NumberHealth(sent=EVIDENCE - 1, finished=EVIDENCE - 1), False),
        (NumberHealth(sent=EVIDENCE, finished=EVIDENCE), True),
        (NumberHealth(sent=100, finished=100, delivered=25, spam=75), False),
        (NumberHealth(sent=1_000, finished=10, delivered=3, spam=7), False),
        (NumberHealth(sent=80, finished=82, delivered=21, spam=61), True),
    ],
)
def test_a_number_is_unhealthy_on_evidence_alone(health: NumberHealth, unhealthy: bool) -> None:
    assert health.unhealthy is unhealthy


def test_nothing_known_is_healthy() -> None:
    nothing = NumberHealth()
    assert (nothing.success_ratio, nothing.spam_ratio, nothing.inbound_outbound_ratio) == (1.0, 0.0, 0.0)


def test_ratios() -> None:
    health = NumberHealth(sent=10, received=5, delivered=6, finished=8, spam=2)
    assert (health.success_ratio, health.spam_ratio, health.inbound_outbound_ratio) == (0.75, 0.2, 0.5)
