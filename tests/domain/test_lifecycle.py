"""The one table of states."""

from pathlib import Path

import pytest

from heliograph.domain.lifecycle import (
    FINAL,
    MEANING,
    RANK,
    TABLE,
    Change,
    ImpossibleChange,
    Status,
    after,
    born,
    diagram,
    replay,
    result,
    sources,
)

ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"


def test_no_change_leads_back() -> None:
    assert all(RANK[target] >= RANK[source] for (source, _), target in TABLE.items())


def test_nothing_follows_a_final_status() -> None:
    assert not [source for source, _ in TABLE if source in FINAL]


def test_every_status_but_the_first_is_reached() -> None:
    assert set(TABLE.values()) == set(Status) - {Status.SCHEDULED}


def test_from_every_status_that_is_not_final_an_end_is_reached() -> None:
    for status in set(Status) - FINAL:
        reached, before = {status}, set[Status]()
        while reached != before:
            before = set(reached)
            reached |= {target for (source, _), target in TABLE.items() if source in before}
        assert reached & FINAL


def test_only_what_is_scheduled_can_be_cancelled() -> None:
    assert sources(Change.CANCEL) == [Status.SCHEDULED]


def test_every_change_leads_to_one_status_and_has_a_meaning() -> None:
    assert {change: result(change) for change in Change}.keys() == MEANING.keys()


@pytest.mark.parametrize("change", [each for each in Change if (Status.CANCELLED, each) not in TABLE])
def test_nothing_happens_to_what_was_cancelled(change: Change) -> None:
    with pytest.raises(ImpossibleChange, match="cancelled"):
        after(Status.CANCELLED, change)


def test_a_log_is_replayed_to_its_status() -> None:
    changes = [Change.CLAIM, Change.DEFER, Change.CLAIM, Change.ACCEPT, Change.DELIVER]
    assert replay(born(scheduled=True), changes) is Status.DELIVERED


def test_a_log_that_cannot_have_happened_is_refused() -> None:
    with pytest.raises(ImpossibleChange):
        replay(Status.SCHEDULED, [Change.CANCEL, Change.CLAIM])


def test_the_diagram_of_the_documentation_is_made_from_the_table() -> None:
    assert diagram() in ARCHITECTURE.read_text(encoding="utf-8")
