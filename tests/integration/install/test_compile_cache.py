"""Node's compile cache: asked for by version, filled after an installation."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from service_manager.install.compile_cache import COMPILE_CACHE_SINCE, node_version, warm
from tests.integration.install.conftest import stub

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("words", "version"),
    [
        ("echo v22.11.0", (22, 11, 0)),
        ("echo v23.0.0-nightly", (23, 0, 0)),
        ("echo words", ()),
        ("exit 1", ()),
    ],
)
async def test_node_is_asked_for_its_version(tmp_path: Path, words: str, version: tuple[int, ...]) -> None:
    node = stub(tmp_path, "node", words)

    assert await node_version(str(node), os.environ) == version
    assert await node_version("/no/such/node", os.environ) == ()


async def test_a_node_without_a_cache_is_not_run_for_one(tmp_path: Path) -> None:
    stub(tmp_path / "programs", "node", f"test $1 = --version && echo v20.0.0 || touch {tmp_path / 'ran'}")

    environ = {"PATH": f"{tmp_path / 'programs'}:{os.defpath}"}
    await warm(tmp_path, "server.js", tmp_path / "log", environ)

    assert not (tmp_path / "ran").exists()


async def test_a_node_that_has_one_fills_the_cache_when_a_package_is_installed(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or await node_version(node, os.environ) < COMPILE_CACHE_SINCE:
        pytest.skip("there is no Node 22.1 or newer here")
    (tmp_path / "server.mjs").write_text("import { one } from './one.mjs'; process.stdin.resume(); one();")
    (tmp_path / "one.mjs").write_text("export const one = () => {};")

    await warm(tmp_path, "server.mjs", tmp_path / "log", os.environ)

    assert len([path for path in (tmp_path / "compile-cache").rglob("*") if path.is_file()]) >= 2
