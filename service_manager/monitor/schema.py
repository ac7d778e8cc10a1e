"""The shape of a snapshot as JSON Schema 2020-12, for the control API's document."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from service_manager.model import State
from service_manager.monitor.anomaly import Metric
from service_manager.monitor.machine import MachineLoad
from service_manager.monitor.rates import Rates

Schema = dict[str, Any]

_COUNT: Schema = {"type": "integer", "minimum": 0}
_AMOUNT: Schema = {"type": "number", "minimum": 0}
_PERHAPS: Schema = {"type": ["number", "null"], "minimum": 0}
_METRIC: Schema = {"enum": [metric.value for metric in Metric]}


def snapshot_schema() -> Schema:
    """What `Snapshot.plain` gives: sizes in bytes, rates per second, times in Unix seconds."""
    load = {field.name: _PERHAPS for field in fields(MachineLoad)} | {"processors": _COUNT}
    return _object(
        at={"type": ["number", "null"]},
        interval_s=_AMOUNT,
        history={"enum": ["file", "memory"]},
        machine={"anyOf": [_object(**load), {"type": "null"}]},
        services={"type": "object", "additionalProperties": _service()},
    )


def _service() -> Schema:
    memory = _object(pss=_COUNT, swap=_COUNT, compressed=_COUNT, held=_COUNT)
    usual = _object(mean=_AMOUNT, deviation=_AMOUNT, readings=_COUNT)
    anomaly = _object(metric=_METRIC, value=_AMOUNT, usual=_AMOUNT, deviation=_AMOUNT, since=_AMOUNT)
    return _object(
        state={"enum": [state.value for state in State]},
        processes=_COUNT,
        memory={"anyOf": [memory, {"type": "null"}]},
        baseline={"type": "object", "propertyNames": _METRIC, "additionalProperties": usual},
        anomalies={"type": "array", "items": anomaly},
        **{field.name: _PERHAPS for field in fields(Rates)},
    )


def _object(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "required": list(properties),
        "additionalProperties": False,
        "properties": properties,
    }
