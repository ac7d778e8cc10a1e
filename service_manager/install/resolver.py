"""From a specification to the argv to run, installing the package first when that is needed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import anyio.to_thread

from service_manager.errors import InstallError, ServiceUnavailable
from service_manager.install import npm, pypi
from service_manager.install.directory import exclusive, remove, replacing
from service_manager.install.manifest import (
    Manifest,
    choose_entry,
    directory_name,
    integrity_matches,
    is_of,
    read_manifest,
    write_manifest,
)
from service_manager.install.package import Installation
from service_manager.install.progress import Steps
from service_manager.lock import Lock
from service_manager.model import (
    Command,
    CommandSource,
    DeploymentSource,
    ImageSource,
    PackageSource,
    Progress,
    ServiceSpec,
    UrlSource,
)
from service_manager.needs import unavailable_reason
from service_manager.pins import pin_text

_DROPPED = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
"""Variables that would make an installer write elsewhere than into the managed directory."""

_QUIET = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_PROGRESS_BAR": "off",
    "npm_config_progress": "false",
}


class PackageResolver:
    """Resolves services that are packages or commands; see `service_manager.model.CommandResolver`.

    Args:
        packages_dir: where managed directories are made.
        lock: the hashes packages must have; a package without an entry is installed unchecked.
        environ: the environment installers run in and programs are found by: the user's own.
    """

    def __init__(self, packages_dir: Path, lock: Lock, environ: Mapping[str, str]) -> None:
        self._packages_dir = packages_dir
        self._lock = lock
        self._environ = environ

    async def resolve(self, spec: ServiceSpec, progress: Progress) -> Command:
        """Return the command of a service. What is installed already costs no process.

        The command's `env` holds what the service gets beyond the environment that every child inherits.

        Raises:
            InstallError: its package could not be installed.
            LockError: what was delivered is not what the lock says; nothing of it was run.
            ServiceUnavailable: a need is missing, or it is an endpoint that has no command.
        """
        if reason := unavailable_reason(spec, self._environ):
            raise ServiceUnavailable(f"{spec.name} can't run here. {reason}")
        match spec.source:
            case PackageSource():
                manifest = await self.install(spec, progress)
                argv = await anyio.to_thread.run_sync(self._package_argv, spec.source, manifest)
            case CommandSource():
                argv = await anyio.to_thread.run_sync(self._program_argv, spec.name, spec.source)
            case ImageSource() | DeploymentSource():
                argv = ()
            case UrlSource():
                raise ServiceUnavailable(
                    f"{spec.name} is an endpoint that runs elsewhere; it has no command."
                )
        await anyio.to_thread.run_sync(_make_directories, spec)
        return Command((*argv, *spec.args), dict(spec.env), spec.cwd)

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
        directory = self._directory(spec.source)
        manifest = read_manifest(directory)
        if manifest is None or not is_of(manifest, spec.source):
            return None
        locked = self._lock.for_spec(spec)
        if locked is not None and not integrity_matches(locked.integrity, manifest.integrity):
            return None
        # An environment whose interpreter was removed or replaced has to be made again.
        if spec.source.registry == "pypi" and not (directory / "bin" / "python").exists():
            return None
        return manifest

    async def uninstall(self, spec: ServiceSpec) -> bool:
        """Remove the package of a service; False when it was not installed.

        Raises:
            InstallError: it can't be removed.
        """
        if not isinstance(spec.source, PackageSource):
            return False
        target = self._directory(spec.source)
        if not target.exists():
            return False
        try:
            async with exclusive(self._lock_path(spec.source), _silently):
                return await remove(target)
        except OSError as error:
            raise InstallError(f"{pin_text(spec.source)} can't be removed: {error}.") from error

    async def _install(self, spec: ServiceSpec, source: PackageSource, steps: Steps) -> Manifest:
        install = npm.install_npm if source.registry == "npm" else pypi.install_pypi
        locked = self._lock.for_spec(spec)
        target = self._directory(source)
        log = self._packages_dir / ".logs" / f"{target.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        environ = {key: value for key, value in self._environ.items() if key not in _DROPPED} | _QUIET
        async with replacing(target) as scratch:
            integrity = locked.integrity if locked else ""
            manifest = await install(Installation(source, scratch, target, integrity, environ, log, steps))
            choose_entry(source, manifest)
            write_manifest(scratch, manifest)
        await steps.finish()
        return manifest

    def _package_argv(self, source: PackageSource, manifest: Manifest) -> tuple[str, ...]:
        directory = self._directory(source)
        entry = choose_entry(source, manifest)
        path = str(directory / entry.path)
        match entry.interpreter:
            case "python":
                return (str(directory / "bin" / "python"), path)
            case "node":
                node = shutil.which("node", path=self._environ.get("PATH"))
                if node is None:
                    raise ServiceUnavailable("node is not installed.", "Install Node.js 20 or newer.")
                return (node, path)
            case "none":
                return (path,)

    def _program_argv(self, name: str, source: CommandSource) -> tuple[str, ...]:
        program = shutil.which(source.argv[0], path=self._environ.get("PATH"))
        if program is None:
            raise ServiceUnavailable(
                f"{name} can't run here: there is no program {source.argv[0]!r}.",
                "Install it, or correct `command:` in services.yml.",
            )
        return (program, *source.argv[1:])

    def _directory(self, source: PackageSource) -> Path:
        return self._packages_dir / directory_name(source)

    def _lock_path(self, source: PackageSource) -> Path:
        return self._packages_dir / ".locks" / f"{directory_name(source)}.lock"


def _make_directories(spec: ServiceSpec) -> None:
    for directory in spec.directories:
        try:
            Path(directory).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ServiceUnavailable(
                f"{spec.name} can't run here: its directory {directory} can't be made ({error}).",
                "Make it, or name another one in services.yml.",
            ) from error


async def _silently(waited_s: float) -> None:
    """Nobody is told of a short wait."""
