"""Logging: structlog and the standard library's loggers through one handler, to stderr and nowhere else.

stdout is the protocol of a stdio server, so nothing here may ever write to it; structlog's own default does,
which is why `configure` comes before the first event. Every event, whoever logged it, gets a UTC time, loses
its secrets, and becomes one line: key=value for a terminal, JSON for everything else.
"""

from __future__ import annotations

import importlib
import importlib.abc
import logging
import os
import sys
from collections.abc import Collection, MutableMapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TextIO, cast

from tool_router.telemetry.line import render_line
from tool_router.telemetry.redaction import Redactor, secret_values

if TYPE_CHECKING:
    from structlog.typing import Processor

Level = Literal["debug", "info", "warning", "error", "critical"]
Rendering = Literal["auto", "console", "json"]

OWN_LOGGERS = ("tool_router", "service_manager")
"""Loggers that follow the level of the settings. All others write warnings and above, unless the level is
debug: the HTTP clients log a line for each request, with its whole URL, at info."""


def configure(
    level: Level = "info",
    rendering: Rendering = "auto",
    *,
    secrets: Collection[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Send every log event to stderr. May be called again; the last call counts.

    Args:
        level: the least level that is written.
        rendering: ``console`` is key=value, ``json`` one object a line; ``auto`` asks whether the stream is a
            terminal.
        secrets: values to redact wherever they appear, besides those of environment variables whose names
            say that they are secret.
        stream: where to write instead of stderr, for tests.
    """
    structlog = _import_structlog()
    target = sys.stderr if stream is None else stream
    redactor = Redactor([*secrets, *secret_values(os.environ)])
    processors = _processors(structlog, redactor)
    handler = LogHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(structlog, rendering, target),
            ],
        )
    )
    _install(handler, logging.getLevelNamesMapping()[level.upper()])
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *processors,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes to stderr and never fails: a client that closed our stderr must not take the router down."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - overrides the standard library
        """Drop the record: there is nowhere to say that logging failed."""


def _processors(structlog: Any, redactor: Redactor) -> list[Processor]:
    """What every event goes through before it is rendered; redaction last, so that it sees everything."""

    def redact(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        meta = {key: event.pop(key) for key in ("_record", "_from_structlog") if key in event}
        return redactor.fields(event) | meta

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact,
    ]


def _renderer(structlog: Any, rendering: Rendering, stream: TextIO) -> Processor:
    if rendering == "json" or (rendering == "auto" and not stream.isatty()):
        return structlog.processors.JSONRenderer(default=str)

    def render(logger: object, method: str, event: MutableMapping[str, Any]) -> str:
        return render_line(event)

    return render


def _install(handler: LogHandler, level: int) -> None:
    """Make the handler the only one that writes to a terminal or a pipe, and set who may log what."""
    root = logging.getLogger()
    for other in [*root.handlers]:
        # Ours from an earlier call, and what MCPServer adds when it is made before us. Handlers that write
        # elsewhere (a test's capture) are not ours to remove.
        if isinstance(other, LogHandler) or type(other).__module__ == "rich.logging":
            root.removeHandler(other)
    root.addHandler(handler)
    root.setLevel(level if level <= logging.DEBUG else max(level, logging.WARNING))
    for name in OWN_LOGGERS:
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)


class _WithoutRich(importlib.abc.MetaPathFinder):
    """Lets the imports of rich by which structlog prettifies fail, as if rich were not installed."""

    refused = frozenset({"rich.pretty", "rich.traceback"})

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in self.refused:
            raise ModuleNotFoundError(fullname, name=fullname)
        return None


def _import_structlog() -> Any:
    """Import structlog without the part that is slow and not used here.

    Its console renderer and its tracebacks import rich's, and with them attr and pygments, when they can:
    about 45 of the 60 ms that structlog adds to a process which has the MCP SDK loaded. It is prepared for
    rich to be missing.
    """
    finder = _WithoutRich()
    sys.meta_path.insert(0, finder)
    try:
        return cast("Any", importlib.import_module("structlog"))
    finally:
        sys.meta_path.remove(finder)
