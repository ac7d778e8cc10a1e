"""What may be asked of a running router, as JSON: its targets and breakers, and changes to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tool_router.balance.balanced import BalancedGateway
from tool_router.balance.member import Member
from tool_router.balance.outcome import CallKeys
from tool_router.balance.strategies.factory import STRATEGIES
from tool_router.balance.window import WindowSummary
from tool_router.errors import ControlError
from tool_router.gateway.protocol import Gateway

if TYPE_CHECKING:
    from tool_router.ai.lane import ProviderTarget

Answer = dict[str, Any]
Command = Callable[[Mapping[str, Any]], Answer]


class Commands:
    """The commands of one router.

    Args:
        gateway: the balancer.
        facts: what else `status` says: the process, the gateway's key.
        providers: the model hosts, each in each use.
    """

    def __init__(
        self,
        gateway: BalancedGateway,
        facts: Mapping[str, Any],
        providers: Callable[[], Sequence[ProviderTarget]] = tuple,
    ) -> None:
        self._gateway = gateway
        self._facts = dict(facts)
        self._providers = providers
        self._commands: dict[str, Command] = {
            "status": self._status,
            "breaker_reset": self._breaker_reset,
            "target_drain": self._drain,
            "target_resume": self._resume,
            "strategy": self._strategy,
            "metrics_reset": self._metrics_reset,
        }

    def run(self, name: str, arguments: Mapping[str, Any]) -> Answer:
        """Carry a command out.

        Raises:
            ControlError: there is no such command, target, breaker or strategy.
        """
        command = self._commands.get(name)
        if command is None:
            raise ControlError(f"This router knows no command {name!r}.", "Is it of the same version?")
        return command(arguments)

    def _status(self, arguments: Mapping[str, Any]) -> Answer:
        gateway = self._gateway
        pool = gateway.pool
        waits = gateway.admission.waits()
        report, latest = pool.selecting.shadow_report(), pool.selecting.explanation()
        return {
            **self._facts,
            "strategy": pool.selecting.name,
            "waiting": pool.waiting,
            "targets": [self._target(member) for member in pool.members()],
            "latest": latest.to_json() if latest is not None else None,
            "breakers": [
                {
                    "name": key,
                    "state": state.value,
                    "retry_after_s": round(max(waits.get(key, 0.0), gateway.admission.held_s(key)), 1),
                }
                for key, state in gateway.admission.states().items()
            ],
            "services": [
                {"name": name, **_figures(window.summary())}
                for name, window in gateway.windows.view().items()
            ],
            "providers": [_provider(target) for target in self._providers()],
            "shadow": None
            if report is None
            else {
                "strategy": report.strategy,
                "decisions": report.decisions,
                "changed": report.changed,
                "compared": report.compared,
                "latency_change_ms": round(report.latency_change_ms, 1),
                "success_change": round(report.success_change, 4),
            },
        }

    def _target(self, member: Member[Gateway]) -> Answer:
        state, admission = member.state, self._gateway.admission
        key = CallKeys.of(member.name).by_scope["target"]
        breaker = admission.states().get(key)
        spec = asdict(state.spec)
        return {
            **spec,
            "models": sorted(state.spec.models),
            "labels": sorted(state.spec.labels),
            "use": "drained" if member.drained else "failing" if member.failing else "used",
            "failing": member.failing,
            "breaker": breaker.value if breaker is not None else "closed",
            "share": round(member.ramp.share(), 3),
            "in_flight": state.in_flight,
            **_figures(state.window.summary()),
        }

    def _breaker_reset(self, arguments: Mapping[str, Any]) -> Answer:
        name = arguments.get("name")
        reset = self._gateway.admission.reset(None if name is None else str(name))
        if name is not None and not reset:
            known = ", ".join(self._gateway.admission.states()) or "none yet"
            raise ControlError(f"There is no breaker {name!r}.", f"There are: {known}.")
        return {"reset": list(reset)}

    def _drain(self, arguments: Mapping[str, Any]) -> Answer:
        member = self._member(arguments)
        self._gateway.pool.drain(member.name)
        return {"target": member.name, "use": "drained", "in_flight": member.state.in_flight}

    def _resume(self, arguments: Mapping[str, Any]) -> Answer:
        member = self._member(arguments)
        self._gateway.pool.resume(member.name)
        return {"target": member.name, "use": "used", "share": round(member.ramp.share(), 3)}

    def _member(self, arguments: Mapping[str, Any]) -> Member[Gateway]:
        name = str(arguments.get("name", ""))
        try:
            return self._gateway.pool.get(name)
        except KeyError:
            known = ", ".join(member.name for member in self._gateway.pool.members())
            raise ControlError(f"There is no target {name!r}.", f"There are: {known}.") from None

    def _strategy(self, arguments: Mapping[str, Any]) -> Answer:
        name, shadow = str(arguments.get("name", "")), arguments.get("shadow")
        try:
            self._gateway.pool.selecting.use(name, None if shadow is None else str(shadow))
        except ValueError as error:
            raise ControlError(str(error), f"Take one of: {', '.join(STRATEGIES)}.") from None
        return {"strategy": name, "shadow": shadow}

    def _metrics_reset(self, arguments: Mapping[str, Any]) -> Answer:
        members = self._gateway.pool.members()
        for member in members:
            member.state.window.reset()
        self._gateway.windows.reset()
        return {"targets": [member.name for member in members]}


def _provider(target: ProviderTarget) -> Answer:
    return {
        "name": target.spec.name,
        "use": target.use,
        "model": target.model,
        "in_use": target.in_use,
        "failing": target.failing,
        "tried_again_s": round(target.rest_s, 1),
        "in_flight": target.in_flight,
        "share": round(target.share, 3),
        "price": target.spec.price,
        **_figures(target.window),
    }


def _figures(summary: WindowSummary) -> Answer:
    """A summary with the digits that mean something."""
    return {
        name: round(value, 4) if isinstance(value, float) and math.isfinite(value) else value
        for name, value in asdict(summary).items()
    }
