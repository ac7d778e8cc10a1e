"""A real Kubernetes control plane: etcd, kube-apiserver, and the controllers of deployments and replica sets.

There is no node. What a kubelet would report of a pod, `Kubelet` writes instead; all else is real, the rules
of server-side apply, of roles and of validation among it. The programs are built by scripts/test_kubernetes.
"""

from __future__ import annotations

import random
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from tests.integration.kubernetes.api_server import STRATEGIC
from tests.integration.kubernetes.kubeconfig import kubeconfig

ADMIN, ROUTER, NOBODY = "admin-token", "router-token", "nobody-token"
"""Tokens: of who may do everything, of who has the role that `PlatformError` tells of, of who has none."""

START_S = 60.0
"""How long the control plane may take to answer."""

ROLE = [
    {
        "apiGroups": ["apps"],
        "resources": ["deployments", "deployments/scale"],
        "verbs": ["get", "patch"],
    },
    {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["list"]},
]
"""What a router needs; see NEXT_STEPS of the driver."""

Json = dict[str, Any]


def ready_status() -> Json:
    """What a kubelet reports of a pod that answers."""
    return {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


class RealCluster:
    """Runs until it is closed.

    Args:
        programs: the directory with kube-apiserver and kube-controller-manager; etcd is on the PATH.
        directory: takes its files.
    """

    def __init__(self, programs: Path, directory: Path) -> None:
        self._programs = programs
        self._directory = directory
        self._processes: list[subprocess.Popen[bytes]] = []
        self._port = _free_port()
        self._certificate = directory / "apiserver.crt"
        self._http: httpx.Client | None = None

    def start(self) -> None:
        """Return when it answers."""
        etcd, peer = (f"http://127.0.0.1:{_free_port()}" for _ in range(2))
        self._run(
            [shutil.which("etcd") or "etcd", "--data-dir", str(self._directory / "etcd")],
            {
                "listen-client-urls": etcd,
                "advertise-client-urls": etcd,
                "listen-peer-urls": peer,
                "initial-advertise-peer-urls": peer,
                "initial-cluster": f"default={peer}",
                "unsafe-no-fsync": "",
            },
        )
        key = self._directory / "service-account.key"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        tokens = self._directory / "tokens.csv"
        tokens.write_text(
            f'{ADMIN},admin,1,"system:masters"\n{ROUTER},router,2\n{NOBODY},nobody,3\n', encoding="utf-8"
        )
        self._run(
            [str(self._programs / "kube-apiserver")],
            {
                "etcd-servers": etcd,
                "secure-port": str(self._port),
                "bind-address": "127.0.0.1",
                "cert-dir": str(self._directory),
                "token-auth-file": str(tokens),
                "authorization-mode": "RBAC",
                "service-account-issuer": "https://cluster.test",
                "service-account-key-file": str(key),
                "service-account-signing-key-file": str(key),
                "service-cluster-ip-range": "10.0.0.0/24",
                # Nobody makes the accounts it waits for.
                "disable-admission-plugins": "ServiceAccount",
            },
        )
        self._await_ready()
        self._run(
            [str(self._programs / "kube-controller-manager")],
            {
                "kubeconfig": str(self.kubeconfig(ADMIN)),
                "controllers": "deployment,replicaset",
                "leader-elect": "false",
                "port": "0",
                "secure-port": "0",
            },
        )

    def close(self) -> None:
        """End it."""
        if self._http is not None:
            self._http.close()
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def kubeconfig(self, token: str) -> Path:
        """A kubeconfig of the user with this token."""
        file = self._directory / f"kubeconfig-{token}"
        cluster = {"server": self._url, "certificate-authority": str(self._certificate)}
        file.write_text(kubeconfig(cluster, token), encoding="utf-8")
        return file

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Json:
        """Make a request as the administrator, and give what was answered."""
        assert self._http is not None
        headers = {"Content-Type": content_type}
        answer = self._http.request(method, path, json=body, headers=headers).raise_for_status()
        return answer.json()

    @property
    def _url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    def _run(self, argv: list[str], options: Mapping[str, str]) -> None:
        flags = [f"--{name}={value}" if value else f"--{name}" for name, value in options.items()]
        log = self._directory / f"{Path(argv[0]).name}.log"
        with log.open("wb") as file:
            self._processes.append(subprocess.Popen([*argv, *flags], stdout=file, stderr=file))

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while not self._is_ready():
            if time.monotonic() > deadline or any(process.poll() is not None for process in self._processes):
                log = (self._directory / "kube-apiserver.log").read_text(errors="replace")
                raise RuntimeError(f"The control plane does not start: {log[-2000:]}")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        if not self._certificate.exists():
            return False
        try:
            if self._http is None:
                headers = {"Authorization": f"Bearer {ADMIN}"}
                trusted = ssl.create_default_context(cafile=self._certificate)
                self._http = httpx.Client(base_url=self._url, verify=trusted, headers=headers)
            return self._http.get("/readyz").is_success
        except (httpx.HTTPError, OSError):
            return False


class Kubelet:
    """Reports of every pod of a namespace what it is told to, from a thread of its own.

    Args:
        cluster: where the pods are.
        namespace: theirs.

    Attributes:
        status: what is reported of each pod, once.
    """

    def __init__(self, cluster: RealCluster, namespace: str) -> None:
        self.status = ready_status()
        self._cluster = cluster
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._told: dict[str, Json] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._report)

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def close(self) -> None:
        """Report no more."""
        self._over.set()
        self._thread.join()

    def _report(self) -> None:
        while not self._over.wait(0.05):
            status = self.status
            for pod in self._cluster.ask("GET", self._pods)["items"]:
                name = pod["metadata"]["name"]
                if self._told.get(name) != status:
                    self._tell(name, status)

    def _tell(self, name: str, status: Json) -> None:
        try:
            self._cluster.ask("PATCH", f"{self._pods}/{name}/status", {"status": status}, STRATEGIC)
        except httpx.HTTPStatusError as error:
            # It may be gone meanwhile.
            if error.response.status_code != HTTPStatus.NOT_FOUND:
                raise
        self._told[name] = status


def _free_port() -> int:
    """A port nobody has, below those the kernel gives to connections: etcd's own would take it meanwhile."""
    while True:
        port = random.randrange(20_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
