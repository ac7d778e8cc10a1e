"""From a specification to the argv to run, installing the package first when that is needed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread

from service_manager.config.lock import Lock
from service_manager.config.needs import unavailable_reason
from service_manager.errors import ServiceUnavailable
from service_manager.install import pypi
from service_manager.install.compile_cache import CACHE, node_environment, node_version
from service_manager.install.installer import Installer
from service_manager.install.manifest import Manifest, choose_entry
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


class PackageResolver:
    """Resolves services that are packages or commands; see `service_manager.model.CommandResolver`.

    Args:
        packages_dir: where managed directories are made.
        lock: the hashes packages must have; a package without an entry is installed unchecked.
        environ: the environment installers run in and programs are found by: the user's own.
    """

    def __init__(self, packages_dir: Path, lock: Lock, environ: Mapping[str, str]) -> None:
        self._installer = Installer(packages_dir, lock, environ)
        self._environ = environ
        self._node_versions: dict[tuple[str, int], tuple[int, ...]] = {}

    def know(self, specs: Sequence[ServiceSpec]) -> None:
        """Say which services there are, now and after every change of services.yml.

        In a shared environment a package that no service wants gives way to one that conflicts with it.
        """
        self._installer.specs = tuple(specs)

    async def resolve(self, spec: ServiceSpec, progress: Progress) -> Command:
        """Return the command of a service. What is installed already costs no installer.

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
                command = await self._package_command(spec.source, await self.install(spec, progress))
            case CommandSource():
                command = await anyio.to_thread.run_sync(self._program, spec.name, spec.source)
            case ImageSource() | DeploymentSource():
                command = Command(())
            case UrlSource():
                raise ServiceUnavailable(
                    f"{spec.name} is an endpoint that runs elsewhere; it has no command."
                )
        await anyio.to_thread.run_sync(_make_directories, spec)
        return replace(
            command, argv=(*command.argv, *spec.args), env={**command.env, **spec.env}, cwd=spec.cwd
        )

    async def install(self, spec: ServiceSpec, progress: Progress) -> Manifest:
        """Install the package of a service when it is not installed, and return what is there.

        Raises:
            InstallError: it could not be installed, or is no package.
            LockError: what was delivered is not what the lock says.
        """
        return await self._installer.install(spec, progress)

    def installed(self, spec: ServiceSpec) -> Manifest | None:
        """What is installed for a service; None when it is nothing, or not what the lock says."""
        return self._installer.installed(spec)

    async def uninstall(self, spec: ServiceSpec) -> bool:
        """Remove the package of a service; False when it was not installed.

        Raises:
            InstallError: it can't be removed.
        """
        return await self._installer.uninstall(spec)

    async def _package_command(self, source: PackageSource, manifest: Manifest) -> Command:
        directory = self._installer.directory(source)
        entry = choose_entry(source, manifest)
        path = str(directory / entry.path)
        match entry.interpreter:
            case "python":
                python = str(directory / pypi.PYTHON)
                return Command((python, path), python_entry=entry.function, environment=str(directory))
            case "node":
                node = await anyio.to_thread.run_sync(self._node)
                return Command((node, path), node_environment(await self._version(node), directory / CACHE))
            case "none":
                return Command((path,))

    def _node(self) -> str:
        node = shutil.which("node", path=self._environ.get("PATH"))
        if node is None:
            raise ServiceUnavailable("node is not installed.", "Install Node.js 20 or newer.")
        return node

    async def _version(self, node: str) -> tuple[int, ...]:
        """The version of node, asked once for each executable."""
        key = node, (await anyio.Path(node).stat()).st_mtime_ns
        if key not in self._node_versions:
            self._node_versions[key] = await node_version(node, self._environ)
        return self._node_versions[key]

    def _program(self, name: str, source: CommandSource) -> Command:
        program = shutil.which(source.argv[0], path=self._environ.get("PATH"))
        if program is None:
            raise ServiceUnavailable(
                f"{name} can't run here: there is no program {source.argv[0]!r}.",
                "Install it, or correct `command:` in services.yml.",
            )
        return Command((program, *source.argv[1:]))


def _make_directories(spec: ServiceSpec) -> None:
    for directory in spec.directories:
        try:
            Path(directory).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ServiceUnavailable(
                f"{spec.name} can't run here: its directory {directory} can't be made ({error}).",
                "Make it, or name another one in services.yml.",
            ) from error
