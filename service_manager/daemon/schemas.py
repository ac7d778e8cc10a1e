"""The shapes of the control API's answers, as JSON Schema 2020-12 (which OpenAPI 3.1 uses)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service_manager.model import Priority, State, Tier

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": ["number", "null"]}
_WORDS: Schema = {"type": "array", "items": _TEXT}
_RATES: Schema = dict.fromkeys(("cpu_percent", "disk_read", "disk_written", "received", "sent"), _NUMBER)


def ref(name: str) -> Schema:
    """A reference to one of `components`."""
    return {"$ref": f"#/components/schemas/{name}"}


def components() -> dict[str, Schema]:
    """Every named schema."""
    return {
        "Memory": _object(
            {"pss": _COUNT, "swap": _COUNT, "compressed": _COUNT, "held": _COUNT},
            "Bytes: proportional set size, its part in swap, that compressed, and pss + compressed.",
        ),
        "Wake": _object(
            {
                "tier": _choice(Tier),
                "resume_ms": _NUMBER,
                "replay_ms": _NUMBER,
                "first_call_ms": _NUMBER,
                "total_ms": _NUMBER,
                "target_ms": _NUMBER,
                "target_met": {"type": ["boolean", "null"]},
            },
            "What one wake took.",
        ),
        "Sleep": _object(
            {
                "tier": _choice(Tier),
                "reason": _TEXT,
                "awake": _or_null("Memory"),
                "asleep": _or_null("Memory"),
                "last_wake": _or_null("Wake"),
                "wake_p50_ms": _NUMBER,
                "wake_p95_ms": _NUMBER,
                "wakes": _COUNT,
                "missed": _COUNT,
                "missing_capability": _TEXT,
            },
            "How a service sleeps, and what that was measured to give and cost.",
        ),
        "Limits": _object(
            {
                "memory": {"type": ["integer", "null"]},
                "cpu": _NUMBER,
                "processes": {"type": ["integer", "null"]},
                "open_files": {"type": ["integer", "null"]},
                "file_size": {"type": ["integer", "null"]},
            },
            "What a service may use; null is no limit.",
        ),
        "Service": _object(
            {
                "name": _TEXT,
                "state": _choice(State),
                "priority": _choice(Priority),
                "unavailable_reason": _TEXT,
                "failure": _TEXT,
                "pid": {"type": ["integer", "null"]},
                "leases": _COUNT,
                "starts": _COUNT,
                "crashes": _COUNT,
                "idle_s": _NUMBER,
                "last_start_ms": _NUMBER,
                "sleeping": ref("Sleep"),
                "limits": ref("Limits"),
                "enforced": {"type": "object", "additionalProperties": _TEXT},
                "endpoint": _TEXT,
            },
            "A service as it is now. `endpoint` is the path of its MCP endpoint.",
        ),
        "Services": _object({"services": {"type": "array", "items": ref("Service")}}, "Every service."),
        "Check": _object(
            {
                "name": _TEXT,
                "ok": {"type": "boolean"},
                "state": _choice(State),
                "detail": _TEXT,
                "ms": _NUMBER,
            },
            "Whether a service is well; `ms` is how long its answer took, null when it was not asked.",
        ),
        "Checks": _object(
            {"ok": {"type": "boolean"}, "services": {"type": "array", "items": ref("Check")}},
            "Whether every service is well.",
        ),
        "Logs": _object(
            {"lines": _WORDS, "written": _COUNT},
            "The last lines a service wrote to stderr, oldest first, and how many it ever wrote.",
        ),
        "Use": _object(
            {
                "state": _choice(State),
                "processes": _COUNT,
                "memory": _or_null("Memory"),
                **_RATES,
                "baseline": {"type": "object"},
                "anomalies": {"type": "array", "items": {"type": "object"}},
            },
            "What a service uses; rates per second, `cpu_percent` of one processor.",
        ),
        "Machine": _object(
            {
                "processors": _COUNT,
                "memory_total": _NUMBER,
                "memory_used": _NUMBER,
                "swap_total": _NUMBER,
                "swap_used": _NUMBER,
                **_RATES,
            },
            "What the whole machine uses; `cpu_percent` of all its processors.",
        ),
        "Usage": _object(
            {
                "at": _NUMBER,
                "interval_s": _NUMBER,
                "history": {"enum": ["file", "memory"]},
                "machine": _or_null("Machine"),
                "services": {"type": "object", "additionalProperties": ref("Use")},
            },
            "What the monitor knows; `at` is the Unix time of its last regular reading.",
        ),
        "Changes": _object(
            {"added": _WORDS, "changed": _WORDS, "removed": _WORDS, "limits": {"type": "boolean"}},
            "What became of the services, and whether resource-limits.yml says something else.",
        ),
        "Health": _object(
            {"status": {"const": "ok"}, "pid": _COUNT, "instance": _TEXT},
            "The daemon lives, and which it is.",
        ),
        "Ready": _object({"ready": {"type": "boolean"}}, "Whether it serves."),
        "Ending": _object({"ending": {"const": True}}, "It ends, and its services with it."),
        "Error": {
            "type": "object",
            "description": "What was tried, how it failed and what to do; some kinds carry more.",
            "required": ["error", "tried", "next_step"],
            "properties": {"error": _TEXT, "tried": _TEXT, "next_step": _TEXT},
        },
    }


def _object(properties: Mapping[str, Schema], description: str) -> Schema:
    return {
        "type": "object",
        "description": description,
        "required": list(properties),
        "properties": dict(properties),
        "additionalProperties": False,
    }


def _choice(kind: type[State | Tier | Priority]) -> Schema:
    return {"type": "string", "enum": [member.value for member in kind]}


def _or_null(name: str) -> Schema:
    return {"anyOf": [ref(name), {"type": "null"}]}
