"""The monitor of a services.yml as resource-limits.yml wants it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from service_manager.monitor.anomaly import rules as metric_rules
from service_manager.monitor.history import History, history_file
from service_manager.monitor.monitor import Monitor, Watched
from service_manager.policy.rules import MonitorRules


def monitor_of(manager: Watched, services: Path, environ: Mapping[str, str], rules: MonitorRules) -> Monitor:
    """A monitor whose history is kept in the state directory; nothing is opened before it reads.

    Args:
        manager: whose services.
        services: the services.yml, which has a history of its own.
        environ: where the state directory is found.
        rules: the `monitor` section of resource-limits.yml.
    """
    history = History(history_file(services, environ), kept_s=rules.history_s)
    return Monitor(
        manager, history, interval_s=rules.interval_s, metrics=metric_rules(sigmas=rules.anomaly_factor)
    )
