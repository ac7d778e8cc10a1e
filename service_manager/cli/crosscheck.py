"""What is wrong between entries that are each right: shared environments, ports, what nothing tells. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from service_manager.config.yamldocument import KeyPath, Problem
from service_manager.model import (
    DeploymentSource,
    ImageSource,
    PackageSource,
    Priority,
    ServiceSpec,
    Tier,
    UrlSource,
)
from service_manager.policy.rules import SystemRules
from service_manager.resources import Limits

PORT = "{port}"

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, or, where it is only a warning, probably not meant."""

    problem: Problem
    warning: bool = False


def cross_check(
    specs: Sequence[ServiceSpec], line: Callable[[KeyPath], int], extras: Collection[str]
) -> tuple[Finding, ...]:
    """Check the entries of a services.yml against each other; disabled ones are left out.

    Args:
        specs: the services, each right by itself.
        line: the line of a key of the file.
        extras: the optional packages that are installed, of ``docker`` and ``kubernetes``.
    """
    enabled = [spec for spec in specs if spec.enabled]

    def at(spec: ServiceSpec, key: str) -> KeyPath:
        return ("services", spec.name, key)

    found = [*_environments(enabled, at), *_ports(enabled, at)]
    for spec in enabled:
        found += [*_extra(spec, at, extras), *_endpoint(spec, at), *_meaningless(spec, at)]
    return tuple(
        Finding(Problem(line(path), what, suggestion, path), warning)
        for path, what, suggestion, warning in found
    )


def check_limits(
    specs: Sequence[ServiceSpec], system: SystemRules, line: Callable[[KeyPath], int]
) -> tuple[Finding, ...]:
    """Check what all services together may use against the services; disabled ones are left out.

    Args:
        specs: the services.
        system: what all of them together may use.
        line: the line of a key of resource-limits.yml.
    """
    enabled = [spec for spec in specs if spec.enabled]
    return tuple(
        Finding(Problem(line(path), what, suggestion, path), warning)
        for path, what, suggestion, warning in (*_always_awake(enabled, system), *_too_large(enabled, system))
    )


_Told = tuple[KeyPath, str, str, bool]
_At = Callable[[ServiceSpec, str], KeyPath]


def _never_sleeps(spec: ServiceSpec) -> bool:
    return spec.sleep is Tier.WARM or (spec.priority is Priority.CRITICAL and spec.sleep is None)


def _always_awake(specs: Sequence[ServiceSpec], system: SystemRules) -> Iterator[_Told]:
    most, awake = system.max_concurrent, [spec.name for spec in specs if _never_sleeps(spec)]
    if most is not None and len(awake) > most:
        path = ("system", "max_concurrent")
        what = f"{len(awake)} services never sleep, and max_concurrent lets only {most} be awake"
        who = f"They are {', '.join(awake)}."
        yield path, what, f"Raise it, or let one of them sleep. {who}", False


def _too_large(specs: Sequence[ServiceSpec], system: SystemRules) -> Iterator[_Told]:
    total = system.memory
    if total is None or total.relative:
        return
    for spec in specs:
        if spec.limits.memory is not None and spec.limits.memory > total.value:
            what = f"{spec.name} may use more memory than all services together"
            yield ("system", "memory"), what, f"Raise it, or lower the limit of {spec.name}.", True


def _environments(specs: Sequence[ServiceSpec], at: _At) -> Iterator[_Told]:
    first: dict[str, tuple[ServiceSpec, PackageSource]] = {}
    pinned: dict[tuple[str, str], tuple[ServiceSpec, PackageSource]] = {}
    for spec in specs:
        source = spec.source
        if not isinstance(source, PackageSource) or not source.environment:
            continue
        name = source.environment
        other, there = first.setdefault(name, (spec, source))
        if source.registry != there.registry:
            what = f"the environment `{name}` of {other.name} holds {there.registry} packages"
            suggestion = f"Give the {source.registry} packages an environment of another name."
            yield at(spec, "environment"), what, suggestion, False
            continue
        same, its = pinned.setdefault((name, source.package.lower()), (spec, source))
        if its.version != source.version:
            what = f"{same.name} pins {source.package} {its.version} in the environment `{name}`"
            suggestion = "Pin the same version, or give one of them another environment."
            yield at(spec, source.registry), what, suggestion, False


def _ports(specs: Sequence[ServiceSpec], at: _At) -> Iterator[_Told]:
    users: defaultdict[tuple[str, int], list[ServiceSpec]] = defaultdict(list)
    for spec in specs:
        # A deployment may answer for several services behind one address.
        if spec.endpoint and PORT not in spec.endpoint and not isinstance(spec.source, DeploymentSource):
            users[_place(spec.endpoint)].append(spec)
    for (host, port), several in users.items():
        for spec in several[1:]:
            what = f"{several[0].name} listens on port {port} of {host} already"
            suggestion = f"Take another port, or `{PORT}` here and in `args` for a free one."
            yield at(spec, "endpoint"), what, suggestion, False


def _place(endpoint: str) -> tuple[str, int]:
    parts = urlsplit(endpoint)
    host = (parts.hostname or "").lower()
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return "localhost" if host in LOOPBACK else host, port


def _extra(spec: ServiceSpec, at: _At, extras: Collection[str]) -> Iterator[_Told]:
    match spec.source:
        case ImageSource():
            key, extra = "image", "docker"
        case DeploymentSource():
            key, extra = "deployment", "kubernetes"
        case _:
            return
    if extra not in extras:
        what = f"{spec.name} needs the extra `{extra}`, which is not installed"
        yield at(spec, key), what, f"Run `pip install 'mcp-tool-router[{extra}]'`.", True


def _endpoint(spec: ServiceSpec, at: _At) -> Iterator[_Told]:
    told = any(PORT in text for text in (*spec.args, *spec.env.values()))
    if PORT in spec.endpoint and not told:
        what = f"nothing tells {spec.name} which port it is to listen on"
        yield at(spec, "endpoint"), what, f"Add `{PORT}` to `args`, as in `--port {PORT}`.", True
    elif PORT not in spec.endpoint and any(PORT in text for text in spec.args):
        what = f"no port takes the place of `{PORT}`, because the endpoint has none"
        yield at(spec, "args"), what, f"Write `endpoint: http://127.0.0.1:{PORT}/mcp`.", True


def _meaningless(spec: ServiceSpec, at: _At) -> Iterator[_Told]:
    if isinstance(spec.source, UrlSource):
        given = {"limits": spec.limits != Limits(), "sleep": spec.sleep is not None}
        for key in (key for key, is_given in given.items() if is_given):
            what = f"`{key}` means nothing for {spec.name}, which is not run from here"
            yield at(spec, key), what, "Remove it.", True
    if spec.sleep is Tier.WARM and spec.wake_target_s is not None:
        what = f"{spec.name} never sleeps, so that `wake_target` means nothing"
        yield at(spec, "wake_target"), what, "Remove it, or choose another tier.", True
