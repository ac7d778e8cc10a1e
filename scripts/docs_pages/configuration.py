"""docs/configuration.md, written from the models that read router.yml and services.yml."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from service_manager.config.entry import LimitsEntry, ServiceEntry
from service_manager.config.services import DATA_VARIABLE, SOURCES
from service_manager.paths import HOME_VARIABLE, LIMITS_VARIABLE, SERVICES_VARIABLE, shipped_config_dir
from tool_router.config import Settings
from tool_router.config_file import ENVIRONMENT

PAGE = "docs/configuration.md"

Schema = Mapping[str, Any]

HEADER = """\
<!-- Written by scripts/generate_docs from the settings models; change those, not this page. -->
# Configuration

No file is needed: every setting has a default. Two files may be there, both strict YAML: an unknown key,
a key that stands twice and a value that does not fit are errors with file, line and what to do. In both,
`${NAME}` takes an environment variable, `${NAME:-default}` gives a default and `$$` is a dollar.

`tool-router doctor` says whether the configuration is right and what to do where it is not.
"""

ROUTER = """\
## router.yml

Looked for where `TOOL_ROUTER_CONFIG` says, then at `~/.config/tool-router/router.yml`; a command takes
another one with `--config`. [config/router.yml](../config/router.yml) has every usual key with its default.
"""

SERVICES = """\
## services.yml

The services of the embedded gateway, under the key `services`, by name. Looked for where `services.file`
says, then where `{variable}` says, then at `~/.config/tool-router/services.yml`, then the
shipped [config/services.yml](../config/services.yml). An entry has exactly one of {sources}.
Durations are seconds, or such as `30s`, `5m`, `1h30m`. `service-manager validate` checks a file.
"""


SERVICE_LIMITS = """\
### limits

What one service may use, over the limits of its priority; a key that is left out leaves that limit as
it is. Sizes are bytes, or such as `512MB`, `1.5GB`.
"""

LIMITS = """\
## resource-limits.yml

What services may use, and what happens when the machine runs short. Looked for where `{variable}`
says, then at `~/.config/tool-router/resource-limits.yml`, then the shipped one, which is this; a key that
is left out has the value it has here:
"""


def render() -> str:
    """The whole page."""
    sources = ", ".join(f"`{source}`" for source in SOURCES)
    parts = [
        HEADER,
        ROUTER,
        *_sections(Settings),
        "## The environment\n",
        _environment(),
        SERVICES.format(variable=SERVICES_VARIABLE, sources=sources),
        _table(ServiceEntry, number="duration"),
        SERVICE_LIMITS,
        _table(LimitsEntry, number="number"),
        LIMITS.format(variable=LIMITS_VARIABLE),
        f"```yaml\n{(shipped_config_dir() / 'resource-limits.yml').read_text(encoding='utf-8')}```\n",
    ]
    return "\n".join(parts)


def _sections(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        section = field.annotation
        if not (inspect.isclass(section) and issubclass(section, BaseModel)):
            raise TypeError(f"{name} is not a section")
        yield f"### {name}\n\n{inspect.cleandoc(section.__doc__ or '')}\n"
        yield _table(section, number="number")


def _table(model: type[BaseModel], number: str) -> str:
    schema = model.model_json_schema(by_alias=True)
    definitions: Schema = schema.get("$defs", {})
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        key = field.alias or name
        of_field: Schema = schema["properties"][key]
        cells = (
            f"`{key}`",
            _kind(of_field, definitions, number),
            _default(of_field),
            " ".join((field.description or "").split()),
        )
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows) + "\n"


def _kind(schema: Schema, definitions: Schema, number: str) -> str:
    """What a value may be, in words."""
    if "$ref" in schema:
        return _kind(definitions[schema["$ref"].rpartition("/")[2]], definitions, number)
    if "anyOf" in schema:
        options = [option for option in schema["anyOf"] if option.get("type") != "null"]
        return " or ".join(_kind(option, definitions, number) for option in options)
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    match schema.get("type"):
        case "array":
            return f"list of {_kind(schema['items'], definitions, number)}"
        case "object" if "properties" in schema:
            return "keys, see below"
        case "object":
            return "mapping of text to text"
        case "number" | "integer" as kind:
            words = {"number": number, "integer": "whole number"}
            return words[kind] + _range(schema)
        case "boolean":
            return "`true`, `false`"
        case _:
            return {"path": "path", "password": "secret text"}.get(schema.get("format", ""), "text")


def _range(schema: Schema) -> str:
    bounds = {"minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}"}
    said = [words.format(f"{schema[key]:g}") for key, words in bounds.items() if key in schema]
    return f", {' '.join(said)}" if said else ""


def _default(schema: Schema) -> str:
    """The default as YAML spells it; empty where leaving the key out means something of its own."""
    value = schema.get("default")
    if value in (None, "", [], {}) or schema.get("format") == "password":
        return ""
    return f"`{value:g}`" if isinstance(value, float) else f"`{_plain(value)}`"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _environment() -> str:
    rows = [
        "| variable | what it does |",
        "|---|---|",
        "| `TOOL_ROUTER_CONFIG` | names the router.yml |",
        f"| `{SERVICES_VARIABLE}` | names the services.yml |",
        f"| `{LIMITS_VARIABLE}` | names the resource-limits.yml |",
        f"| `{HOME_VARIABLE}` | puts configuration, data, state and cache under one directory |",
        *(
            f"| `{variable}` | fills `{section}.{key}` where router.yml leaves it out or empty |"
            for variable, (section, key) in ENVIRONMENT.items()
        ),
        f"| `{DATA_VARIABLE}` | in services.yml: the data directory, always set |",
    ]
    return "\n".join(rows) + "\n"
