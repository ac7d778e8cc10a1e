"""How a pool of providers chooses, waits, records and recovers, in virtual time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence

import anyio
import pytest
import trio.testing

from tests.unit.ai.steered_provider import SteeredProvider
from tool_router.ai.pool import PREFERENCE, Balancing, ProviderPool, ProviderTarget
from tool_router.ai.provider import Prompt
from tool_router.balance.strategies import STRATEGIES
from tool_router.balance.target_state import TargetSpec
from tool_router.errors import ProviderError

pytestmark = pytest.mark.anyio

FAILED = ProviderError("http_500", "It answered 500.")
PROMPT = Prompt("system", "user")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}


def pool_of(
    *providers: SteeredProvider,
    strategy: str = PREFERENCE,
    region: str = "",
    **specs: Mapping[str, float | str],
) -> ProviderPool:
    return ProviderPool(
        providers,
        [TargetSpec(one.name, **specs.get(one.name, {})) for one in providers],  # type: ignore[arg-type]
        Balancing(strategy, region=region),
        clock=anyio.current_time,
        jitter=lambda: 1.0,
        draw=random.Random(5).random,
    )


def pair(delay_a_s: float = 0.01, delay_b_s: float = 0.01) -> tuple[SteeredProvider, SteeredProvider]:
    return SteeredProvider("a", delay_a_s), SteeredProvider("b", delay_b_s)


def embedding(pool: ProviderPool, name: str) -> ProviderTarget:
    return next(one for one in pool.targets() if one.use == "embedding" and one.spec.name == name)


async def embed_in_turn(pool: ProviderPool, calls: int) -> None:
    model = await pool.embedding_model()
    for _ in range(calls):
        await pool.embed(["a"], model)


async def embed_at_once(pool: ProviderPool, calls: int) -> None:
    model = await pool.embedding_model()
    # Far more than they take: in virtual time a call that is lost would be waited for without end.
    with anyio.fail_after(600):
        async with anyio.create_task_group() as tasks:
            for _ in range(calls):
                tasks.start_soon(pool.embed, ["a"], model)


def shares(*providers: SteeredProvider) -> dict[str, float]:
    counts = Counter({one.name: len(one.asked) for one in providers})
    return {name: count / counts.total() for name, count in counts.items()}


async def test_by_default_the_first_gets_every_call_however_many_there_are() -> None:
    a, b = pair()
    pool = ProviderPool([a, b], clock=anyio.current_time)
    await embed_at_once(pool, 50)
    assert (len(a.asked), len(b.asked)) == (50, 0)
    assert pool.strategy == "preference"


@pytest.mark.parametrize("strategy", ["performance", "affinity", "hybrid", "adaptive"])
async def test_the_faster_of_two_gets_most_calls(strategy: str) -> None:
    slow, fast = pair(0.2, 0.02)
    await embed_in_turn(pool_of(slow, fast, strategy=strategy), 100)
    assert shares(slow, fast)["b"] > 0.9


@pytest.mark.parametrize("strategy", ["performance", "hybrid"])
@pytest.mark.parametrize("dear", ["a", "b"])
async def test_the_cheaper_of_two_equal_ones_is_preferred(strategy: str, dear: str) -> None:
    a, b = pair()
    prices = {"a": 0.0, "b": 0.0, dear: 2.0}
    pool = pool_of(a, b, strategy=strategy, a={"price": prices["a"]}, b={"price": prices["b"]})
    await embed_in_turn(pool, 200)
    assert shares(a, b)[dear] < 0.25


@pytest.mark.parametrize("strategy", ["least_loaded", "power_of_two", "round_robin", "weighted"])
async def test_two_equal_ones_share_calls_evenly(strategy: str) -> None:
    a, b = pair()
    await embed_at_once(pool_of(a, b, strategy=strategy), 40)
    assert (len(a.asked), len(b.asked)) == (20, 20)


async def test_the_one_in_the_routers_region_is_asked() -> None:
    a, b = pair()
    pool = pool_of(a, b, strategy="geo", region="here", b={"region": "here"}, a={"region": "there"})
    await embed_in_turn(pool, 20)
    assert (len(a.asked), len(b.asked)) == (0, 20)


@pytest.mark.parametrize("strategy", ["model", "hybrid", "adaptive"])
async def test_chat_goes_to_those_with_the_very_model_and_to_others_only_where_these_fail(
    strategy: str,
) -> None:
    other, first = SteeredProvider("other", weights="2"), SteeredProvider("first")
    pool = pool_of(first, other, strategy=strategy, other={"weight": 0.01})
    model = await pool.chat_model()
    for _ in range(20):
        await pool.choose(PROMPT, ["1", "2"], model)
    assert other.asked == []
    first.error = FAILED
    await pool.choose(PROMPT, ["1", "2"], model)
    assert other.asked == ["choose"]


@pytest.mark.parametrize("strategy", [PREFERENCE, *STRATEGIES])
async def test_no_strategy_asks_one_without_the_model_for_its_vectors(strategy: str) -> None:
    a, b, other = SteeredProvider("a"), SteeredProvider("b"), SteeredProvider("other", 0.001, weights="2")
    pool = pool_of(a, b, other, strategy=strategy, other={"weight": 10.0, "quality": 1.0})
    await embed_at_once(pool, 30)
    model = await pool.embedding_model()
    a.error = b.error = FAILED
    for _ in range(3):
        with pytest.raises(ProviderError) as caught:
            await pool.embed(["a"], model)
        assert caught.value.reason == "http_500"
    assert other.asked == []


@pytest.mark.parametrize("strategy", [PREFERENCE, *STRATEGIES])
async def test_no_strategy_gives_one_more_calls_than_it_takes_and_none_is_lost(strategy: str) -> None:
    a, b = pair()
    pool = pool_of(a, b, strategy=strategy, a={"capacity": 2}, b={"capacity": 3})
    await embed_at_once(pool, 40)
    assert len(a.asked) + len(b.asked) == 40
    assert (a.most, b.most) == (2, 3)
    assert [one.in_flight for one in pool.targets()] == [0, 0, 0, 0]


async def test_what_the_preferred_one_can_not_take_goes_to_the_next() -> None:
    a, b = pair()
    await embed_at_once(pool_of(a, b, a={"capacity": 2}), 5)
    assert (len(a.asked), len(b.asked)) == (2, 3)


async def test_uses_have_places_of_their_own() -> None:
    (a,) = providers = (SteeredProvider("a"),)
    pool = pool_of(*providers, a={"capacity": 1})
    embeds, chats = await pool.embedding_model(), await pool.chat_model()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.embed, ["a"], embeds)
        tasks.start_soon(pool.choose, PROMPT, ["1"], chats)
    assert a.most == 2


async def test_a_call_whose_time_ends_while_it_waits_leaves_no_trace() -> None:
    (a,) = providers = (SteeredProvider("a", 1.0),)
    pool = pool_of(*providers, a={"capacity": 1})
    model = await pool.embedding_model()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.embed, ["a"], model)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0.5) as scope:
            await pool.embed(["b"], model)
        assert scope.cancelled_caught
    with anyio.fail_after(60):
        await pool.embed(["c"], model)
    assert len(a.asked) == 2
    found = embedding(pool, "a")
    assert (found.in_flight, found.window.requests, found.failing) == (0, 2, "")


async def test_a_call_that_waited_while_the_model_changed_is_not_answered_by_the_new_one() -> None:
    (a,) = providers = (SteeredProvider("a", 1.0),)
    pool = pool_of(*providers, a={"capacity": 1})
    model = await pool.embedding_model()
    errors: list[ProviderError] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.embed, ["a"], model)
        await anyio.wait_all_tasks_blocked()

        async def waits() -> None:
            with pytest.raises(ProviderError) as caught:
                await pool.embed(["b"], model)
            errors.append(caught.value)

        tasks.start_soon(waits)
        await anyio.wait_all_tasks_blocked()
        a.weights = "2"
        await pool.embedding_model()
    assert [error.reason for error in errors] == ["model_missing"]
    assert len(a.asked) == 1
    assert embedding(pool, "a").in_flight == 0


@pytest.mark.parametrize(
    ("reason", "rate"),
    [
        ("timeout", "timeout_rate"),
        ("http_429", "rate_limit_rate"),
        ("http_500", "error_rate"),
        ("refused", "error_rate"),
        ("malformed", "error_rate"),
        ("no_key", "error_rate"),
    ],
)
@pytest.mark.parametrize("strategy", [PREFERENCE, "round_robin"])
async def test_windows_tell_failures_apart(strategy: str, reason: str, rate: str) -> None:
    a, b = pair()
    pool = pool_of(a, b, strategy=strategy)
    a.error = ProviderError(reason, "It failed.")
    await embed_in_turn(pool, 1)
    failed, worked = embedding(pool, "a"), embedding(pool, "b")
    assert (failed.window.requests, getattr(failed.window, rate)) == (1, 1.0)
    assert (failed.in_use, failed.failing, failed.rest_s) == (False, "It failed.", pytest.approx(0.99))
    assert (worked.window.requests, worked.window.success_rate) == (1, 1.0)
    assert worked.window.p50_ms == pytest.approx(10, rel=0.05)
    assert (worked.in_use, worked.failing, worked.rest_s) == (True, "", 0.0)


async def test_a_provider_that_takes_all_of_its_time_counts_as_timed_out() -> None:
    a, b = pair(60.0, 0.1)
    pool = pool_of(a, b)
    model = await pool.embedding_model()
    with anyio.fail_after(1.0):
        await pool.embed(["a"], model)
    found = embedding(pool, "a").window
    assert (found.timeout_rate, found.p50_ms) == (1.0, pytest.approx(500, rel=0.05))


@pytest.mark.parametrize("strategy", [PREFERENCE, "least_loaded"])
async def test_what_says_nothing_about_requests_is_not_in_the_windows(strategy: str) -> None:
    (a,) = providers = (SteeredProvider("a", 1.0),)
    pool = pool_of(*providers, strategy=strategy)
    embeds, chats = await pool.embedding_model(), await pool.chat_model()
    await pool.embed(["one", "two", "three", "four"], embeds)
    await pool.warm(chats)
    with anyio.move_on_after(0.5):
        await pool.embed(["given up by the caller"], embeds)
    a.error = ProviderError("unsupported", "It gives no log probabilities.")
    with pytest.raises(ProviderError):
        await pool.choose(PROMPT, ["1"], chats)
    assert [one.window.requests for one in pool.targets()] == [0, 0]
    assert [(one.failing, one.in_flight) for one in pool.targets()] == [("", 0), ("", 0)]


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_one_that_failed_rests_and_then_gets_its_share_back_a_little_at_a_time(strategy: str) -> None:
    a, b = pair()
    pool = pool_of(a, b, strategy=strategy)
    model = await pool.embedding_model()
    a.error = FAILED
    await embed_at_once(pool, 20)
    a.error = None
    tried = len(a.asked)
    assert tried
    await pool.embed(["a"], model)
    assert len(a.asked) == tried
    await anyio.sleep(31)
    found: list[float] = []
    for _ in range(8):
        await pool.embed(["a"], model)
        found.append(embedding(pool, "a").share)
        await anyio.sleep(5)
    assert found[0] == pytest.approx(0.1, abs=0.01)
    assert found[-1] == 1.0
    assert found == sorted(found)


async def test_the_preferred_one_is_asked_again_as_soon_as_it_has_rested() -> None:
    a, b = pair()
    pool = pool_of(a, b)
    model = await pool.embedding_model()
    a.error = FAILED
    await pool.embed(["a"], model)
    a.error = None
    await anyio.sleep(1.0)
    asked = len(a.asked)
    for _ in range(5):
        await pool.embed(["a"], model)
    assert len(a.asked) == asked + 5
    assert embedding(pool, "a").share == 1.0
    assert len(b.asked) == 1


@pytest.mark.parametrize(
    ("strategy", "warmed"), [(PREFERENCE, ["a"]), ("power_of_two", ["a", "b"]), ("hybrid", ["a", "b"])]
)
async def test_chat_models_are_loaded_wherever_requests_may_come_to(
    strategy: str, warmed: Sequence[str]
) -> None:
    a, b = pair()
    pool = pool_of(a, b, strategy=strategy)
    await pool.warm(await pool.chat_model())
    assert [one.name for one in (a, b) if one.asked == ["warm"]] == warmed


async def test_chat_is_ready_when_one_provider_could_load_its_model() -> None:
    a, b = pair()
    pool = pool_of(a, b, strategy="power_of_two")
    model = await pool.chat_model()
    a.error = FAILED
    await pool.warm(model)
    b.error = ProviderError("refused", "b refused the connection.")
    with pytest.raises(ProviderError) as caught:
        await pool.warm(model)
    assert caught.value.reason == "refused"


async def test_one_that_never_loads_its_model_takes_half_of_the_time() -> None:
    a, b = pair(3600.0, 2.0)
    pool = pool_of(a, b, strategy="power_of_two")
    model = await pool.chat_model()
    started = anyio.current_time()
    with anyio.fail_after(120):
        await pool.warm(model)
    assert anyio.current_time() - started == pytest.approx(60)
    await pool.choose(PROMPT, ["1"], model)
    assert a.asked == ["warm"]


async def test_providers_of_one_name_are_told_apart() -> None:
    pool = ProviderPool([SteeredProvider("x"), SteeredProvider("x"), SteeredProvider("x (2)")])
    names = [one.spec.name for one in pool.targets() if one.use == "chat"]
    assert names == ["x", "x (2)", "x (2) (2)"]
    await pool.embedding_model()
    assert [one.model for one in pool.targets()] == ["embeds"] * 3 + [""] * 3
    assert [one.in_use for one in pool.targets()] == [True] * 3 + [False] * 3
