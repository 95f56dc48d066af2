"""Messages taken."""

import asyncio

from heliograph.domain.lifecycle import Status
from heliograph.store.messages import Acceptance, Accepted
from heliograph.store.store import Store
from tests.builders import accept, accepted, change_account, epoch, make_account, make_message


async def test_what_was_taken_is_read_back_as_it_was(store: Store) -> None:
    message = await accepted(store)
    found, _ = await store.messages.find(message.organization_id, message.id)
    assert found == message


async def test_another_organisation_does_not_find_it(store: Store) -> None:
    message = await accepted(store)
    organization, _ = await make_account(store)
    found, _ = await store.messages.find(organization.id, message.id)
    assert found is None


async def test_the_same_message_given_twice_is_taken_once(store: Store) -> None:
    message = make_message(store)
    assert await accept(store, message) is Accepted.TAKEN
    assert await accept(store, message) is Accepted.TAKEN
    assert (await store.reports.overview()).by_status["scheduled"] == 1


async def test_a_change_of_the_accounts_makes_an_acceptance_stale(store: Store) -> None:
    organization, _ = await make_account(store)
    before = await epoch(store)
    await change_account(store, organization)
    message = make_message(store, organization_id=organization.id)
    assert (await store.accept(Acceptance([message], before, 10))).outcome is Accepted.STALE
    assert (await store.reports.overview()).by_status["scheduled"] == 0


async def test_what_was_committed_is_taken_even_when_it_is_stale_by_now(store: Store) -> None:
    organization, _ = await make_account(store)
    message, before = make_message(store, organization_id=organization.id), await epoch(store)
    await store.accept(Acceptance([message], before, 10))
    await change_account(store, organization)
    assert (await store.accept(Acceptance([message], before, 10))).outcome is Accepted.TAKEN


async def test_the_limit_of_pending_messages_is_exact(store: Store) -> None:
    answers = await asyncio.gather(*(accept(store, make_message(store), max_pending=3) for _ in range(8)))
    assert sorted(answers, key=lambda each: each.value).count(Accepted.TAKEN) == 3
    assert answers.count(Accepted.FULL) == 5


async def test_what_the_same_commit_has_counted_already_counts(store: Store) -> None:
    asked = [Acceptance([make_message(store)], await epoch(store), 1) for _ in range(2)]
    async with store.engine.transaction() as transaction:
        answers = [(await store.messages.accept(transaction, [each]))[0] for each in asked]
    assert [each.outcome for each in answers] == [Accepted.TAKEN, Accepted.FULL]


async def test_what_is_sent_at_once_does_not_count_as_pending(store: Store) -> None:
    assert await accept(store, make_message(store, send_in=None), max_pending=0) is Accepted.TAKEN


async def test_a_group_is_taken_whole_or_not_at_all(store: Store) -> None:
    pair = (make_message(store), make_message(store))
    assert await accept(store, *pair, max_pending=1) is Accepted.FULL
    assert (await store.reports.overview()).by_status["scheduled"] == 0


async def test_many_at_once_share_few_commits(store: Store) -> None:
    current, before = await epoch(store), store.writer.commits
    wanted = [make_message(store) for _ in range(200)]
    answers = await asyncio.gather(*(store.accept(Acceptance([each], current, 1_000)) for each in wanted))
    assert {each.outcome for each in answers} == {Accepted.TAKEN}
    assert store.writer.commits - before < 20


async def test_an_immediate_message_is_queued(store: Store) -> None:
    message = await accepted(store, send_in=None)
    assert message.status is Status.QUEUED


async def test_one_bad_item_does_not_fail_its_neighbours(store: Store) -> None:
    good, bad = make_message(store), make_message(store, text="a NUL \0 cannot be stored")
    taken, failed = await asyncio.gather(accept(store, good), accept(store, bad), return_exceptions=True)
    assert taken is Accepted.TAKEN
    if "sqlite" not in store.engine.sqlalchemy.dialect.name:
        assert isinstance(failed, Exception)
