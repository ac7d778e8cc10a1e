"""The configured logs: one handler, stderr only, redacted; and what configuring costs."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog

from tool_router.telemetry import log

SECRET = "hunter22-hunter22"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Configuring is process-wide by nature; leave no trace of it for other tests."""
    names = ("", *log.OWN_LOGGERS)
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = [*logging.getLogger().handlers]
    yield
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def events(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def own() -> structlog.stdlib.BoundLogger:
    return structlog.get_logger("tool_router.test")


def test_an_event_is_one_json_object_with_time_level_and_logger() -> None:
    stream = io.StringIO()
    log.configure("info", "json", stream=stream)

    own().info("catalog_refreshed", tools=3)

    (event,) = events(stream)
    assert event.pop("timestamp")
    assert event == {
        "event": "catalog_refreshed",
        "tools": 3,
        "level": "info",
        "logger": "tool_router.test",
    }


@pytest.mark.parametrize(("stream", "is_json"), [(io.StringIO(), True), (Terminal(), False)])
def test_auto_writes_lines_for_a_terminal_and_json_otherwise(stream: io.StringIO, is_json: bool) -> None:
    log.configure("info", "auto", stream=stream)

    own().info("started")

    assert stream.getvalue().startswith("{") is is_json


@pytest.mark.parametrize("rendering", ["json", "console"])
def test_secrets_are_redacted_in_fields_messages_and_tracebacks(rendering: log.Rendering) -> None:
    stream = io.StringIO()
    log.configure("debug", rendering, secrets=[SECRET], stream=stream)

    own().info("called", token=SECRET, note=f"with {SECRET}")
    logging.getLogger("httpx").info("GET %s", f"http://gateway/?q={SECRET}")
    try:
        int(SECRET)
    except ValueError:
        own().exception("failed")

    assert SECRET not in stream.getvalue()
    assert stream.getvalue().count("[redacted]") >= 4
    assert "ValueError" in stream.getvalue()


def test_levels_hold_for_our_own_events_and_other_libraries_only_warn() -> None:
    stream = io.StringIO()
    log.configure("info", "json", stream=stream)

    own().debug("too_quiet")
    own().info("heard")
    logging.getLogger("httpx").info("HTTP Request: ...")
    logging.getLogger("mcp.server").warning("odd")

    assert [event["event"] for event in events(stream)] == ["heard", "odd"]


def test_debug_lets_other_libraries_speak() -> None:
    stream = io.StringIO()
    log.configure("debug", "json", stream=stream)

    logging.getLogger("httpx").info("HTTP Request: ...")

    assert [event["event"] for event in events(stream)] == ["HTTP Request: ..."]


def test_configuring_again_replaces_the_first_configuration() -> None:
    first, second = io.StringIO(), io.StringIO()
    log.configure("info", "json", stream=first)
    logger = own()
    log.configure("error", "json", stream=second)

    logger.info("quiet")
    logger.error("loud")

    assert first.getvalue() == ""
    assert [event["event"] for event in events(second)] == ["loud"]


def test_a_value_that_is_no_json_is_written_as_its_text() -> None:
    stream = io.StringIO()
    log.configure("info", "json", stream=stream)

    own().info("odd", value=object, lone="\udc80", data=b"\x00")

    (event,) = events(stream)
    assert event["value"] == "<class 'object'>"
    assert event["data"] == "b'\\x00'"


def test_a_closed_stderr_does_not_disturb_the_caller() -> None:
    stream = io.StringIO()
    log.configure("info", "json", stream=stream)
    stream.close()

    own().warning("nobody_reads_this")


def run(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, **environ},
    )


def test_nothing_reaches_stdout_whoever_logs_and_environment_secrets_stay_in() -> None:
    code = """
import logging, os, warnings
from mcp.server.mcpserver import MCPServer
server = MCPServer("adds a handler of its own")
from tool_router.telemetry import log
log.configure("debug")
import structlog
structlog.get_logger().info("from_structlog", needs=os.environ["BRAVE_API_KEY"])
logging.getLogger("ollama").warning("from the standard library")
warnings.warn("from a warning")
"""
    done = run(code, BRAVE_API_KEY=SECRET)

    assert done.stdout == ""
    assert SECRET not in done.stderr
    logged = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert logged[:2] == ["from_structlog", "from the standard library"]
    assert "from a warning" in logged[2]


def test_configuring_does_not_import_what_structlog_only_prettifies_with() -> None:
    code = """
import sys
from tool_router.telemetry import log
log.configure()
print(sorted({"pygments", "attr", "rich.traceback", "rich.pretty"} & set(sys.modules)))
import rich.traceback
"""
    assert run(code).stdout.strip() == "[]"
