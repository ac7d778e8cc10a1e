"""The providers in one use: a strategy says who is asked, and the next is asked where that one fails."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import anyio
import structlog

from tool_router.ai.provider import RelevanceProvider
from tool_router.ai.trouble import Trouble, result_of
from tool_router.balance.member import Lease, Member
from tool_router.balance.pool import Pool
from tool_router.balance.requirements import CallRequest, Requirements
from tool_router.balance.target_state import TargetSpec
from tool_router.balance.window import Result, WindowSummary
from tool_router.errors import ProviderError

PREFERENCE = "preference"
"""The strategy that asks providers in the order in which they are listed."""

DISCOVERY_LIMIT_S = 10.0
"""How long the background waits for one provider to say which model it has."""

LEAST_BLAMED_S = 0.05
"""A provider that was given less time than this is not blamed for not having answered."""


class _Model(Protocol):
    @property
    def key(self) -> str: ...

    @property
    def name(self) -> str: ...


M = TypeVar("M", bound=_Model)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ProviderTarget:
    """One provider in one use at this moment, for people.

    Attributes:
        use: ``embedding`` or ``chat``.
        spec: its name and configuration; `models` holds the key of its model.
        model: the name of its model; empty while none is known.
        in_use: whether it has a model and does not rest after a failure.
        failing: what is wrong; empty while nothing is.
        rest_s: seconds until it is asked again as if it worked.
        in_flight: calls of it that are under way.
        share: how much of its normal share of calls it gets, in (0, 1]; below 1 while it recovers.
        window: how it did with requests of late.
    """

    use: str
    spec: TargetSpec
    model: str
    in_use: bool
    failing: str
    rest_s: float
    in_flight: int
    share: float
    window: WindowSummary


@dataclass(slots=True, eq=False)
class Host(Generic[M]):
    """A provider in one use.

    Attributes:
        model: what it uses; None until it was asked, and while it has none.
    """

    provider: RelevanceProvider
    trouble: Trouble
    model: M | None = None


class Lane(Generic[M]):
    """The providers in one use.

    Args:
        use: which one, for people.
        pool: chooses among them, and counts.
        strategy: by which.
    """

    def __init__(self, use: str, pool: Pool[Host[M]], strategy: str) -> None:
        self._use = use
        self._pool = pool
        self._strategy = strategy
        self._log = structlog.get_logger()

    def targets(self) -> Sequence[ProviderTarget]:
        """Each provider as it is now."""
        return [self._target(member) for member in self._pool.members()]

    async def discover(self, ask: Callable[[RelevanceProvider], Awaitable[M]]) -> M:
        """Ask every provider for its model; return that of the first that works, whatever the strategy.

        Raises:
            ProviderError: none has one; the reason is that of the first.
        """
        members = self._pool.members()
        failures: dict[int, ProviderError] = {}

        async def one(place: int, member: Member[Host[M]]) -> None:
            provider = member.target.provider
            try:
                with anyio.fail_after(DISCOVERY_LIMIT_S):
                    self._has(member, await ask(provider))
            except ProviderError as error:
                failures[place] = error
            except TimeoutError:
                late = f"{provider.name} did not answer within {DISCOVERY_LIMIT_S:g} s."
                failures[place] = ProviderError("timeout", late)
            if place in failures:
                self._has(member, None)
                self._note(member, failures[place])

        async with anyio.create_task_group() as tasks:
            for place, member in enumerate(members):
                tasks.start_soon(one, place, member)
        for member in self._usable(any_model):
            assert member.target.model is not None  # what `_usable` gives
            return member.target.model
        said = "; ".join(
            f"{members[place].target.provider.name}: {failures[place]}" for place in sorted(failures)
        )
        raise ProviderError(failures[0].reason, said if len(failures) > 1 else str(failures[0]))

    async def ask(
        self,
        request: CallRequest,
        fits: Callable[[M], bool],
        call: Callable[[RelevanceProvider, M], Awaitable[T]],
        *,
        timed: bool = True,
    ) -> T:
        """Let one fitting provider answer, and the next where it fails; all within the caller's time.

        The time that is left is shared: with two providers the first may take half of it. A call for which
        every provider is full waits for a place in the caller's time.

        Args:
            request: what the strategy is told of the call.
            fits: whether a model will do.
            call: asks a provider.
            timed: whether windows record the call.

        Raises:
            ProviderError: all failed; it is the last one's error.
        """
        names = [member.name for member in self._usable(fits)]
        return await self._ask(names, request, fits, call, timed=timed)

    async def ask_each(self, call: Callable[[RelevanceProvider, M], Awaitable[None]]) -> None:
        """Have every provider that does not rest do something, all at once, in half of the caller's time.

        Raises:
            ProviderError: none could; it is the first one's error.
        """
        names = [member.name for member in self._usable(any_model)]
        failures: dict[str, ProviderError] = {}

        async def one(name: str) -> None:
            try:
                await self._ask([name], CallRequest(), any_model, call, timed=False, kept=1)
            except ProviderError as error:
                failures[name] = error

        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(one, name)
        if len(failures) == len(names):
            raise next((failures[name] for name in names), self._missing())

    async def _ask(
        self,
        names: Collection[str],
        request: CallRequest,
        fits: Callable[[M], bool],
        call: Callable[[RelevanceProvider, M], Awaitable[T]],
        *,
        timed: bool,
        kept: int = 0,
    ) -> T:
        """Ask these providers one after the other; `kept` shares of the time are left to the caller."""
        last = self._missing()
        tried: set[str] = set()
        while (member := await self._acquire(names, tried, request)) is not None:
            tried.add(member.name)
            share_s = _share_s(len(names) - len(tried) + kept)
            with self._pool.lease(member, request) as lease:
                model = member.target.model
                if model is None or not fits(model):
                    # It was asked anew for its model while this call waited for a place.
                    continue
                with anyio.move_on_after(share_s):
                    try:
                        answer = await call(member.target.provider, model)
                    except ProviderError as error:
                        if error.reason == "unsupported":
                            # To lack an ability is no failure; the caller asks for something else then.
                            raise
                        last = error
                        self._failed(lease, error, timed=timed)
                        continue
                    self._worked(lease, timed=timed)
                    return answer
                late = f"{member.target.provider.name} did not answer within {share_s:.3g} s."
                last = ProviderError("timeout", late)
                if share_s >= LEAST_BLAMED_S:
                    self._failed(lease, last, timed=timed)
        raise last

    async def _acquire(
        self, names: Collection[str], tried: Collection[str], request: CallRequest
    ) -> Member[Host[M]] | None:
        """A place at one of the providers that were not tried; the caller holds it in a lease."""

        def admits(name: str) -> bool:
            return name in names

        if self._strategy == PREFERENCE:
            free = self._pool.usable(admits, request, tried)
            wish = Requirements(preferred=frozenset(member.name for member in free[:1]))
            request = replace(request, requirements=wish)
        return await self._pool.acquire(admits, request, tried)

    def _usable(self, fits: Callable[[M], bool]) -> list[Member[Host[M]]]:
        """Who has a fitting model, without those that rest, unless all of them do."""
        fitting = [
            member
            for member in self._pool.members()
            if member.target.model is not None and fits(member.target.model)
        ]
        rested = [member for member in fitting if member.target.trouble.rest_s <= 0]
        for member in rested:
            self._pool.working(member.name)
        return rested or fitting

    def _has(self, member: Member[Host[M]], model: M | None) -> None:
        """Note which model a provider has."""
        member.target.model = model
        keys = frozenset[str]() if model is None else frozenset({model.key})
        if member.state.spec.models != keys:
            self._pool.change(replace(member.state.spec, models=keys))

    def _worked(self, lease: Lease[Host[M]], *, timed: bool) -> None:
        if timed:
            lease.record(Result.SUCCESS)
        if lease.member.target.trouble.mended():
            self._log.info("provider_recovered", provider=lease.member.name, use=self._use)

    def _failed(self, lease: Lease[Host[M]], error: ProviderError, *, timed: bool) -> None:
        result = result_of(error)
        if timed and result is not None:
            lease.record(result)
        self._note(lease.member, error)

    def _note(self, member: Member[Host[M]], error: ProviderError) -> None:
        self._pool.failing(member.name, str(error))
        if member.target.trouble.failed(error):
            self._log.warning(
                "provider_failed",
                provider=member.name,
                use=self._use,
                reason=error.reason,
                detail=str(error),
            )

    def _missing(self) -> ProviderError:
        return ProviderError("model_missing", f"No provider has that {self._use} model now.")

    def _target(self, member: Member[Host[M]]) -> ProviderTarget:
        host, state = member.target, member.state
        rest_s = host.trouble.rest_s
        return ProviderTarget(
            use=self._use,
            spec=state.spec,
            model=host.model.name if host.model is not None else "",
            in_use=host.model is not None and rest_s <= 0,
            failing=host.trouble.reason,
            rest_s=rest_s,
            in_flight=state.in_flight,
            share=member.ramp.share(),
            window=state.window.summary(),
        )


def any_model(model: _Model) -> bool:
    """Whatever model a provider has will do."""
    return True


def _share_s(others: int) -> float:
    """The part of the caller's time that one provider may take while so many others come after it."""
    if not others:
        return math.inf
    return max(0.0, anyio.current_effective_deadline() - anyio.current_time()) / (others + 1)
