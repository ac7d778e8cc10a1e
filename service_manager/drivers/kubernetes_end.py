"""Scales the deployment of a manager that was killed to 0; run by the watchdog, as a script.

usage: python -P kubernetes_end.py NAMESPACE NAME, with the cluster in KUBECONFIG or HOME.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

ANSWER_S = 5.0
"""How long the API server may take."""


def main() -> None:
    """Scale it."""
    namespace, name = sys.argv[1:]
    config: Any = importlib.import_module("kubernetes.config")
    api: Any = importlib.import_module("kubernetes.client")
    config.load_config()
    api.AppsV1Api().patch_namespaced_deployment_scale(
        name,
        namespace,
        {"spec": {"replicas": 0}},
        field_manager="tool-router",
        _preload_content=False,
        _request_timeout=ANSWER_S,
    )


if __name__ == "__main__":
    main()
