"""A Kubernetes cluster, asked through its SDK in worker threads; the SDK is an extra, imported on first use.

Only what a deployment's scale takes is asked, and answers stay the JSON they are: the SDK's own models refuse
what a newer server adds.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread
from yaml import YAMLError

from service_manager.errors import PlatformError

MANAGER = "tool-router"
"""The field manager of what we set; see "Server-Side Apply" in the documentation of Kubernetes."""

ANSWER_S = 10.0
"""How long the API server may take to answer."""

NO_SDK = "Install it with: pip install 'mcp-tool-router[kubernetes]'"

NEXT_STEPS = {
    401: "Its credentials are refused: log in again, or correct the kubeconfig.",
    403: "Allow it with a role: get and patch of deployments and deployments/scale, list of pods and events.",
    404: "Look for it with `kubectl get deployments --all-namespaces`.",
    409: "Leave that field to its owner: remove it from the service's `limits:` in services.yml.",
    422: "Correct the service's `limits:` in services.yml.",
}
"""What can be done about an answer, by its status."""


class Cluster:
    """One connection to an API server; see `connect`.

    Args:
        client: the SDK's client.
        applying: another whose patches are applied by the server.
        api: the SDK's module of API classes.
    """

    def __init__(self, client: Any, applying: Any, api: Any) -> None:
        self._apps = api.AppsV1Api(client)
        self._applying = api.AppsV1Api(applying)
        self._core = api.CoreV1Api(client)
        self._limiter = anyio.CapacityLimiter(1)

    async def deployment(self, namespace: str, name: str) -> Mapping[str, Any]:
        """A deployment as it is now.

        Raises:
            PlatformError: there is none, or it may not be seen.
        """
        return await self._ask(
            lambda options: self._apps.read_namespaced_deployment(name, namespace, **options)
        )

    async def scale(self, namespace: str, name: str, replicas: int) -> None:
        """Have a deployment run so many pods.

        Raises:
            PlatformError: it may not be scaled.
        """
        body = {"spec": {"replicas": replicas}}
        await self._ask(
            lambda options: self._apps.patch_namespaced_deployment_scale(
                name, namespace, body, field_manager=MANAGER, **options
            )
        )

    async def apply(
        self, namespace: str, name: str, body: Mapping[str, Any], *, force: bool
    ) -> Mapping[str, Any]:
        """Set these fields of a deployment, and no longer those that were set before and are not in them.

        Args:
            namespace: of the deployment.
            name: its name.
            body: the fields.
            force: whether to take fields from others who own them too.

        Returns:
            The deployment as it is then.

        Raises:
            PlatformError: a field has another owner (409), who is named; or a value is wrong.
        """
        return await self._ask(
            lambda options: self._applying.patch_namespaced_deployment(
                name, namespace, dict(body), field_manager=MANAGER, force=force, **options
            )
        )

    async def patch(self, namespace: str, name: str, body: Mapping[str, Any]) -> None:
        """Change these fields of a deployment, whoever owns them; null removes one.

        Raises:
            PlatformError: it may not be changed so.
        """
        await self._ask(
            lambda options: self._apps.patch_namespaced_deployment(
                name, namespace, dict(body), field_manager=MANAGER, **options
            )
        )

    async def pods(self, namespace: str, labels: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        """The pods with these labels."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        found = await self._ask(
            lambda options: self._core.list_namespaced_pod(namespace, label_selector=selector, **options)
        )
        return found.get("items") or []

    async def events(self, namespace: str) -> Sequence[Mapping[str, Any]]:
        """What happened lately in a namespace, in no order."""
        found = await self._ask(lambda options: self._core.list_namespaced_event(namespace, **options))
        return found.get("items") or []

    async def _ask(self, question: Callable[[Mapping[str, Any]], Any]) -> Any:
        return await to_thread.run_sync(_asked, question, limiter=self._limiter)


@asynccontextmanager
async def connect(environ: Mapping[str, str]) -> AsyncGenerator[Cluster]:
    """A connection to the cluster of KUBECONFIG, of ~/.kube/config, or the one this process runs in.

    Raises:
        PlatformError: the SDK is missing, or no cluster is configured.
    """
    client, applying, api = await to_thread.run_sync(_clients, environ)
    try:
        yield Cluster(client, applying, api)
    finally:
        client.close()
        applying.close()


def _clients(environ: Mapping[str, str]) -> tuple[Any, Any, Any]:
    try:
        api: Any = importlib.import_module("kubernetes.client")
        config: Any = importlib.import_module("kubernetes.config")
    except ImportError as error:
        raise PlatformError(
            "Kubernetes services need the Kubernetes SDK, which is not installed.", NO_SDK
        ) from error
    configuration = api.Configuration()
    file = environ.get("KUBECONFIG") or str(Path(environ.get("HOME") or Path.home(), ".kube", "config"))
    try:
        if environ.get("KUBECONFIG") or Path(file).exists():
            config.load_kube_config(file, client_configuration=configuration, persist_config=False)
        else:
            config.load_incluster_config(client_configuration=configuration)
    except (config.ConfigException, YAMLError, OSError, ValueError, TypeError, AttributeError) as error:
        # The last two are what the SDK makes of a file that is YAML and no kubeconfig.
        raise PlatformError(
            f"No cluster can be reached by {file}: {error}.", "Name the right kubeconfig by KUBECONFIG."
        ) from error
    applying = api.ApiClient(configuration)
    # Of several content types the SDK chooses by itself, and not this one.
    applying.set_default_header("Content-Type", "application/apply-patch+yaml")
    return api.ApiClient(configuration), applying, api


def _asked(question: Callable[[Mapping[str, Any]], Any]) -> Any:
    errors: Any = importlib.import_module("kubernetes.client.exceptions")
    network: Any = importlib.import_module("urllib3.exceptions")
    try:
        return json.loads(question({"_preload_content": False, "_request_timeout": ANSWER_S}).data)
    except errors.ApiException as error:
        status = int(error.status or 0)
        raise PlatformError(
            f"the cluster answers {status}: {_message(error)}", NEXT_STEPS.get(status, ""), status
        ) from error
    except (network.HTTPError, OSError, ValueError) as error:
        raise PlatformError(
            f"the cluster does not answer: {error}", "Compare the kubeconfig with where it is."
        ) from error


def _message(error: Any) -> str:
    """What the server says, out of its `Status`, on one line; else the reason of the HTTP status."""
    try:
        said = json.loads(error.body or "{}").get("message")
    except (ValueError, AttributeError):
        said = None
    return " ".join(str(said or error.reason or "no reason given").split()).rstrip(".")
