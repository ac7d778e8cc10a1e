"""What the installers of both registries share: their surroundings, and how their failures are told."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service_manager.config.pins import pin_text
from service_manager.errors import InstallError, LockError
from service_manager.install.manifest import Manifest, integrity_matches
from service_manager.install.process import log_tail, run_logged
from service_manager.install.progress import Steps
from service_manager.model import PackageSource


class Conflict(InstallError):
    """A package can't be in one environment with others; the message names them."""


NO_SPACE = os.strerror(errno.ENOSPC)
"""How pip and npm say that the disk is full."""


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation under way.

    Attributes:
        scratch: the directory to fill: empty, or a copy of the environment that is shared.
        target: where it will stand; for paths that are written into files.
        integrity: the hashes the lock allows, separated by spaces; empty when nothing is locked.
        log: where children's output goes.
        beside: the packages of the shared environment that stay as they are.
    """

    source: PackageSource
    scratch: Path
    target: Path
    integrity: str
    environ: Mapping[str, str]
    log: Path
    steps: Steps
    beside: tuple[Manifest, ...] = ()

    @property
    def requirements_beside(self) -> tuple[str, ...]:
        """The pins of the packages that stay, and what was asked to be installed with them."""
        pins = [manifest.pin.partition(":")[2] for manifest in self.beside]
        return (*pins, *(text for manifest in self.beside for text in manifest.constraints))

    async def run(self, argv: Sequence[str], *, check: bool = True) -> int:
        """Run an installer in the scratch directory.

        Raises:
            InstallError: it can't be started, or it failed and `check` is set; with its last lines.
        """
        try:
            code = await run_logged(
                argv, cwd=self.scratch, environ=self.environ, log=self.log, tick=self.steps.tick
            )
        except OSError as error:
            raise InstallError(
                f"{pin_text(self.source)} was not installed: {argv[0]} can't be started ({error})."
            ) from error
        if code and check:
            raise self.failure(f"{Path(argv[0]).name} ended with code {code}")
        return code

    def failure(self, what: str) -> InstallError:
        """The error that tells `what` failed, with the end of the log."""
        tail = log_tail(self.log)
        told = f"{pin_text(self.source)} was not installed: {what}."
        if NO_SPACE in tail:
            return InstallError(
                f"{told} The disk is full.", f"Free some room on the disk of {self.scratch.parent}."
            )
        return InstallError(
            f"{told}\n{tail}\n" if tail else told,
            f"Check the network, the pin and your npm or pip configuration; the whole log is {self.log}.",
        )

    def conflict(self, named: Sequence[Manifest]) -> Conflict:
        """The error that tells which packages this one can't be together with, with the end of the log."""
        others = " and ".join(manifest.pin.partition(":")[2] for manifest in named)
        return Conflict(
            f"{pin_text(self.source)} was not installed: in the environment {self.source.environment!r} it "
            f"can't be together with {others}.\n{log_tail(self.log)}\n",
            "Give one of them another `environment:`, or pin versions that agree.",
        )

    def check_integrity(self, found: str) -> None:
        """Compare what was delivered with the lock.

        Raises:
            LockError: it is something else.
        """
        if self.integrity and not integrity_matches(self.integrity, found):
            raise LockError(
                f"{pin_text(self.source)} is not what the lock says: {found} was delivered, "
                f"{self.integrity} is locked. Nothing of it was run.",
                "Find out why the package changed. If you trust it, run `service-manager lock`.",
            )
