"""Every switch of the settings takes its part out of the running router."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.loopback import refusing_url
from tool_router.app import AppContext, open_app
from tool_router.config import Settings
from tool_router.errors import ConfigError

pytestmark = pytest.mark.anyio

OFF: list[tuple[dict[str, Any], str]] = [
    ({"relevance": {"enabled": False}}, "relevance"),
    ({"relevance": {"enabled": False}}, "judge"),
    ({"relevance": {"embed": False}}, "relevance"),
    ({"judge": {"enabled": False}}, "judge"),
    ({"model_arguments": {"enabled": False}}, "values"),
    ({"learning": {"enabled": False}}, "recorder"),
    ({"learning": {"enabled": False}}, "warmer"),
    ({"learning": {"warming": False}}, "warmer"),
    ({"cache": {"memory_s": 0}}, "memory"),
    ({"cache": {"persistent": False}}, "store"),
]


def parts(app: AppContext) -> set[str]:
    """The parts that can be turned off and are there."""
    models = app.models
    there = {
        "relevance": app.relevance is not None,
        "judge": models is not None and models.judge is not None,
        "values": models is not None and models.values is not None,
        "recorder": app.recorder is not None,
        "warmer": app.warmer is not None,
    }
    return {name for name, is_there in there.items() if is_there} | set(app.decisions.stats().tiers)


async def opened(tmp_path: Path, sections: dict[str, Any]) -> set[str]:
    settings = Settings.model_validate(
        {"gateway": {"url": refusing_url()}, "store": {"path": tmp_path / "store.sqlite"}, **sections}
    )
    async with open_app(settings, {"HOME": str(tmp_path)}) as app:
        return parts(app)


async def test_by_default_everything_but_redis_is_there(tmp_path: Path) -> None:
    there = await opened(tmp_path, {})
    assert there == {"relevance", "judge", "values", "recorder", "warmer", "memory", "store"}


@pytest.mark.parametrize(("sections", "part"), OFF)
async def test_what_is_turned_off_is_not_there(tmp_path: Path, sections: dict[str, Any], part: str) -> None:
    assert part not in await opened(tmp_path, sections)


async def test_a_judge_may_stand_without_embeddings(tmp_path: Path) -> None:
    assert "judge" in await opened(tmp_path, {"relevance": {"embed": False}})


async def test_what_goes_wrong_inside_comes_out_as_itself(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"gateway": {"url": refusing_url()}, "store": {"path": tmp_path / "store.sqlite"}}
    )
    with pytest.raises(ConfigError, match="mine"):
        async with open_app(settings, {"HOME": str(tmp_path)}):
            raise ConfigError("This is mine.", "Mend it.")


async def test_redis_is_a_tier_once_it_is_configured(tmp_path: Path) -> None:
    assert "redis" in await opened(tmp_path, {"cache": {"redis_url": "redis://127.0.0.1:1/0"}})
