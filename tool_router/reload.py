"""Changes to router.yml that a running router takes over: the heads of its gateway and how one is chosen."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import structlog

from service_manager.filewatch import on_change, on_hangup, state_of
from tool_router.balance.assembly import first_spec, replica_spec, strategy_settings
from tool_router.balance.balanced import BalancedGateway
from tool_router.config import Settings
from tool_router.config_balance import BalanceSettings
from tool_router.config_base import Section
from tool_router.errors import ToolRouterError
from tool_router.gateway.assembly import Heads

LIVE = frozenset({"strategy", "shadow", "explore", "learning_rate", "threshold", "connections"})
"""Keys of `balance` that count at once; `connections` for targets that are added."""


class Reloader:
    """Takes over what can be changed while a router runs, and says what can't.

    Args:
        settings: those the router runs by.
        read: reads them anew; raises a ToolRouterError when they are wrong, and then nothing changes.
        gateway: the balancer, with its first head first.
        heads: makes those that are added.
    """

    def __init__(
        self, settings: Settings, read: Callable[[], Settings], gateway: BalancedGateway, heads: Heads
    ) -> None:
        self._settings = settings
        self._read = read
        self._gateway = gateway
        self._heads_of = heads
        self._first = gateway.pool.members()[0].name
        self._log = structlog.get_logger()

    async def reload(self) -> None:
        """Read the settings and take over what changed."""
        try:
            new = self._read()
        except ToolRouterError as error:
            self._log.warning("settings_not_reloaded", reason=str(error))
            return
        old, self._settings = self._settings, new
        if new == old:
            return
        self._strategy(old.balance, new.balance)
        await self._heads(new)
        self._log.info("settings_reloaded", needs_restart=needs_restart(old, new))

    def _strategy(self, old: BalanceSettings, new: BalanceSettings) -> None:
        """Another strategy, where the settings name one; what a person chose meanwhile stays otherwise."""
        if {key: getattr(old, key) for key in LIVE} != {key: getattr(new, key) for key in LIVE}:
            self._gateway.pool.selecting.use(new.strategy, new.shadow, strategy_settings(new))

    async def _heads(self, new: Settings) -> None:
        """Add, change and remove heads; the one that `gateway.url` names stays."""
        targets, pool = self._gateway.targets, self._gateway.pool
        if new.gateway.url and any(member.name == self._first for member in self._gateway.pool.members()):
            member = self._gateway.pool.get(self._first)
            spec = first_spec(new, member.target)
            if spec.name == self._first:
                await targets.add(spec, member.target)
        wanted = {replica_spec(new.balance, replica).name: replica for replica in new.gateway.replicas}
        for member in self._gateway.pool.members():
            if member.name != self._first and member.name not in wanted and not member.discovered:
                targets.remove(member.name)
                self._log.info("target_removed", target=member.name)
        known = {member.name for member in self._gateway.pool.members()}
        for name, replica in wanted.items():
            head = pool.get(name).target if name in known else self._heads_of.at(new, replica.url)
            await targets.add(replica_spec(new.balance, replica), head)
            if name not in known:
                self._log.info("target_added", target=name)


def needs_restart(old: Settings, new: Settings) -> list[str]:
    """The sections, or keys of `gateway` and `balance`, whose changes count only after a restart."""
    changed: list[str] = []
    for section in Settings.model_fields:
        before: Section = getattr(old, section)
        after: Section = getattr(new, section)
        if before == after:
            continue
        if section not in ("gateway", "balance"):
            changed.append(section)
            continue
        live = {"replicas", "target"} if section == "gateway" else LIVE
        changed += [
            f"{section}.{key}"
            for key in type(before).model_fields
            if key not in live and getattr(before, key) != getattr(after, key)
        ]
    return changed


@asynccontextmanager
async def reloading(reloader: Reloader, file: Path | None) -> AsyncGenerator[None]:
    """Reload on SIGHUP, and when the file changes, until the block is left.

    Args:
        reloader: takes changes over.
        file: router.yml; None watches none.
    """
    async with anyio.create_task_group() as tasks:
        await tasks.start(on_hangup, reloader.reload)
        if file is not None:
            files = (file,)
            tasks.start_soon(on_change, lambda: files, await state_of(files), reloader.reload)
        yield
        tasks.cancel_scope.cancel()
