"""Whether a call is admitted: the breakers of its target, its service and its tool, all or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog
from cachetools import LRUCache

from tool_router.balance.breaker import Breaker, BreakerSettings, Clock, State, Transition, admit_all
from tool_router.balance.outcome import CallKeys, record_failure, record_success
from tool_router.balance.permit import Permit
from tool_router.balance.registry import BreakerRegistry
from tool_router.errors import BreakerOpen, GatewayBusy, GatewayError

Moved = Callable[[str, Transition], None]
"""Told the key of a breaker and its transition, once each."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call is not admitted.

    Attributes:
        keys: of the breakers that refuse.
        retry_after_s: seconds until all of them may admit it.
        last: what the last failed call met; empty when that is not known.
    """

    keys: tuple[str, ...]
    retry_after_s: float
    last: str = ""


class Admission:
    """The breakers of a pool.

    Args:
        settings: of every breaker.
        clock: monotonic seconds.
        capacity: how many breakers are kept; open ones are kept beyond it.
    """

    def __init__(self, settings: BreakerSettings, clock: Clock, *, capacity: int = 1024) -> None:
        self._settings = settings
        self._clock = clock
        self._listeners: list[Moved] = []
        self._holds: dict[str, float] = {}
        self._breakers = BreakerRegistry(self._make, capacity)
        self._met: LRUCache[str, str] = LRUCache(capacity)
        self._log = structlog.get_logger()

    def listen(self, listener: Moved) -> None:
        """Have every transition told, once each, inside the call that caused it."""
        self._listeners.append(listener)

    def refusal(self, keys: CallKeys) -> Refusal | None:
        """Say why a call would not be admitted now; changes nothing."""
        refused: dict[str, float] = {}
        for name in keys.by_scope.values():
            one = self._breakers.get(name).refusal()
            wait_s = max(one.retry_after_s if one is not None else 0.0, self.held_s(name))
            if wait_s > 0:
                refused[name] = wait_s
        return self._refusal(refused) if refused else None

    def admit(self, keys: CallKeys) -> Mapping[str, Permit]:
        """Admit a call, by every breaker or by none.

        Raises:
            BreakerOpen: one of them refused.
        """
        if self._holds and (held := self.refusal(keys)) is not None:
            raise BreakerOpen(held.keys, held.retry_after_s, held.last)
        admitted = admit_all({name: self._breakers.get(name) for name in keys.by_scope.values()})
        permits = {name: one for name, one in admitted.items() if isinstance(one, Permit)}
        refused = {name: one.retry_after_s for name, one in admitted.items() if not isinstance(one, Permit)}
        if refused:
            why = self._refusal(refused)
            raise BreakerOpen(why.keys, why.retry_after_s, why.last)
        return permits

    def succeeded(self, permits: Mapping[str, Permit]) -> None:
        """Return the permits of a call that got a result."""
        record_success(permits)

    def failed(self, keys: CallKeys, permits: Mapping[str, Permit], error: GatewayError) -> None:
        """Return the permits of a call that failed; a push-back rests its target for the whole time."""
        record_failure(keys, permits, error)
        counted = {"target"} if isinstance(error, GatewayBusy) else error.counts_against
        for scope, name in keys.by_scope.items():
            if scope in counted:
                self._met[name] = error.tried
        if isinstance(error, GatewayBusy):
            key = keys.by_scope["target"]
            self._breakers.get(key).rest(self._clock() + error.retry_after_s)
            self._log.warning("target_pushed_back", key=key, retry_after_s=round(error.retry_after_s, 1))

    def rest(self, key: str, seconds: float) -> None:
        """Hold calls off for a time, because the far side asked for it."""
        self._breakers.get(key).rest(self._clock() + seconds)

    def hold(self, key: str, seconds: float) -> None:
        """Hold calls off for a time, because a breaker of another router opened; its own is left as it is."""
        now = self._clock()
        self._holds = {name: until for name, until in self._holds.items() if until > now}
        self._holds[key] = now + seconds

    def let_go(self, key: str) -> bool:
        """End a hold; False when there was none."""
        return self._holds.pop(key, None) is not None

    def held_s(self, key: str) -> float:
        """Seconds left of a hold; 0.0 without any."""
        until = self._holds.get(key)
        return 0.0 if until is None else max(0.0, until - self._clock())

    def rest_s(self, key: str) -> float:
        """Seconds of push-back left for a key; 0.0 without any."""
        return self._breakers.get(key).rest_s

    def states(self) -> Mapping[str, State]:
        """The state of every breaker that is kept, by key; a key that is missing is closed."""
        return {key: breaker.state for key, breaker in self._breakers.view().items()}

    def waits(self) -> Mapping[str, float]:
        """Seconds until it admits a call again, for every breaker that refuses now; holds left out."""
        refusals = {key: breaker.refusal() for key, breaker in self._breakers.view().items()}
        return {key: refusal.retry_after_s for key, refusal in refusals.items() if refusal is not None}

    def reset(self, key: str | None = None) -> tuple[str, ...]:
        """Close one breaker, or all of them, end their push-back and holds; the keys that were reset."""
        kept = self._breakers.view()
        keys = tuple(kept) if key is None else tuple(name for name in kept if name == key)
        for name in keys:
            kept[name].reset()
        held = [name for name in self._holds if key in (None, name)]
        for name in held:
            del self._holds[name]
        return tuple(dict.fromkeys((*keys, *held)))

    def _refusal(self, refused: Mapping[str, float]) -> Refusal:
        last = next((self._met[name] for name in refused if name in self._met), "")
        return Refusal(tuple(refused), max(refused.values()), last)

    def _make(self, key: str) -> Breaker:
        def moved(transition: Transition) -> None:
            level = self._log.warning if transition.after is State.OPEN else self._log.info
            level("breaker_moved", key=key, before=transition.before.value, after=transition.after.value)
            for listener in self._listeners:
                listener(key, transition)

        return Breaker(self._settings, self._clock, moved)
