"""Settings: strict, frozen, filled from the environment only where the file says nothing."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from tool_router.balance.strategies import STRATEGIES
from tool_router.config import Settings
from tool_router.config_balance import StrategyName
from tool_router.config_file import load_settings
from tool_router.errors import ConfigError

REPOSITORY = Path(__file__).parents[3]


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "router.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_the_defaults_run_the_embedded_gateway(tmp_path: Path) -> None:
    settings = load_settings(environ={"TOOL_ROUTER_HOME": str(tmp_path)})
    assert settings == Settings()
    assert settings.gateway.resolved_kind == "embedded"


@pytest.mark.parametrize(
    ("gateway", "kind"),
    [
        ("url: http://127.0.0.1:4444", "contextforge"),
        ("url: http://127.0.0.1:4444/mcp", "mcp"),
        ("command: [python, -m, server]", "mcp"),
        ("{kind: contextforge, url: http://127.0.0.1/mcp}", "contextforge"),
    ],
)
def test_auto_takes_the_kind_the_address_speaks_of(tmp_path: Path, gateway: str, kind: str) -> None:
    text = f"gateway: {gateway}" if gateway.startswith("{") else f"gateway:\n  {gateway}"
    assert load_settings(write(tmp_path, text), {}).gateway.resolved_kind == kind


def test_the_environment_fills_what_the_file_leaves_out_and_never_what_it_says(tmp_path: Path) -> None:
    environ = {"GATEWAY_URL": "http://10.0.0.1", "GATEWAY_TOKEN": "from-env", "TOOL_ROUTER_LOG": "debug"}
    path = write(tmp_path, "gateway:\n  url: http://10.0.0.2\n  token: ''\n")

    settings = load_settings(path, environ)

    assert settings.gateway.url == "http://10.0.0.2"
    assert settings.gateway.token.get_secret_value() == "from-env"
    assert settings.log.level == "debug"


def test_the_shipped_example_says_exactly_the_defaults() -> None:
    assert load_settings(REPOSITORY / "config/router.yml", {}) == Settings()


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("gateway:\n  ulr: http://x\n", 2, "url"),
        ("policy:\n  read: 1.5\n", 2, "read"),
        ("gateway:\n  kind: contextforge\n", 1, "url"),
        ("policy: {}\npolicy: {}\n", 2, "policy"),
        ("request:\n  budget_s: soon\n", 2, "budget_s"),
    ],
)
def test_a_wrong_file_is_refused_with_file_line_and_what_to_do(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_settings(path, {})
    assert f"{path}:{line}" in str(caught.value)
    assert said in str(caught.value)


def test_a_file_that_was_named_and_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_settings(tmp_path / "nothing.yml", {})


def test_a_wrong_value_in_the_environment_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="TOOL_ROUTER_LOG"):
        load_settings(environ={"TOOL_ROUTER_HOME": str(tmp_path), "TOOL_ROUTER_LOG": "loud"})


def test_a_token_is_never_shown() -> None:
    settings = load_settings(
        environ={"GATEWAY_URL": "http://x", "GATEWAY_TOKEN": "s3cret", "TOOL_ROUTER_HOME": "/x"}
    )
    assert "s3cret" not in repr(settings)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().policy.read = 0.1  # pyright: ignore[reportAttributeAccessIssue]  # what the test is about


def test_every_strategy_can_be_configured_and_no_other() -> None:
    assert get_args(StrategyName) == STRATEGIES
