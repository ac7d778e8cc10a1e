"""One entry of services.yml as it is written: its keys, what each may hold, and how durations are read."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from service_manager.config.pins import PinError, parse_npm, parse_pypi
from service_manager.config.yamlmodel import misfit
from service_manager.resources import Limits

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_NEED = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|[A-Za-z0-9][A-Za-z0-9._+-]*(?:>=\d+(?:\.\d+)*)?")

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?i?B|[KMGT]|)", re.IGNORECASE)
_UNITS = {"": 0, "B": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_DEPLOYMENT = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-.a-z0-9]*[a-z0-9])?")


def parse_duration(value: object) -> float:
    """Seconds of ``"5m"``, ``"1h30m"``, ``"500ms"``, ``"30"`` or a plain number."""
    example = 'Write seconds (30) or a duration such as "30s", "5m" or "1h30m".'
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and _DURATION.fullmatch(value.strip()):
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(value))
    elif isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value.strip()):
        seconds = float(value)
    else:
        shown = f"`{value}` is" if isinstance(value, str) else "this is"
        raise misfit(f"{shown} not a duration", example)
    if not math.isfinite(seconds) or seconds < 0:
        raise misfit(f"a duration can't be {seconds:g}", example)
    return seconds


def _positive(seconds: float) -> float:
    if seconds == 0:
        raise misfit("this duration can't be zero", 'Write how long it may take, such as "30s".')
    return seconds


def _flag(value: object) -> object:
    """A boolean from an environment variable arrives as text."""
    return (
        {"true": True, "false": False}.get(value.strip().lower(), value) if isinstance(value, str) else value
    )


def _words(value: object) -> object:
    """A command in one string is split as a shell splits words; nothing else of a shell is done."""
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError as error:
        raise misfit(f"the command can't be split into words ({error})", "Write it as a list.") from error


def _some(words: list[str]) -> list[str]:
    if not words or not words[0]:
        raise misfit("the command is empty", "Write the program and its first arguments.")
    return words


def _need(text: str) -> str:
    if not _NEED.fullmatch(text):
        raise misfit(
            f"`{text}` is not something a service can need",
            "Write a program (node, python, git, node>=20) or a variable (env:NAME).",
        )
    return text


def _http(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise misfit("the address has no http:// or https://", "Write the endpoint's whole address.")
    return text


def parse_size(value: object) -> int:
    """Bytes of ``"512MB"``, ``"1.5GB"`` or a plain number; units are powers of 1,024."""
    example = 'Write bytes or a size such as "512MB" or "1.5GB".'
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif found:
        size = int(float(found[1]) * 1024 ** _UNITS[found[2].upper()[:1]])
    else:
        shown = f"`{value}` is" if isinstance(value, str) else "this is"
        raise misfit(f"{shown} not a size", example)
    if size <= 0:
        raise misfit(f"a size can't be {size}", example)
    return size


def _given(text: str) -> str:
    if not text.strip():
        raise misfit("the image has no name", "Write an image the engine has, such as `name:tag`.")
    return text


def _deployment(text: str) -> str:
    if not _DEPLOYMENT.fullmatch(text):
        raise misfit(f"`{text}` is not a deployment", "Write `namespace/name`.")
    return text


def _pinned(parse: Callable[[str], object]) -> AfterValidator:
    def check(text: str) -> str:
        try:
            parse(text)
        except PinError as error:
            raise misfit(error.what, error.suggestion) from error
        return text

    return AfterValidator(check)


Duration = Annotated[float, BeforeValidator(parse_duration)]
Limit = Annotated[float, BeforeValidator(parse_duration), AfterValidator(_positive)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Size = Annotated[int, BeforeValidator(parse_size)]
Words = Annotated[list[str], BeforeValidator(_words), AfterValidator(_some)]


class LimitsEntry(BaseModel):
    """What one service may use, as it is written; a key that is left out is no limit."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    memory: Size | None = Field(None, description="Physical memory of all its processes, such as `512MB`.")
    cpu: Annotated[float, Field(gt=0)] | None = Field(None, description="Processors; 0.5 is half of one.")
    processes: Annotated[int, Field(gt=0)] | None = Field(None, description="Processes and threads.")
    open_files: Annotated[int, Field(gt=0)] | None = Field(None, description="Open files of one process.")
    file_size: Size | None = Field(None, description="The largest file it may write, such as `1GB`.")

    def limits(self) -> Limits:
        """As the rest of the package knows them."""
        return Limits(self.memory, self.cpu, self.processes, self.open_files, self.file_size)


def _no_limits() -> LimitsEntry:
    return LimitsEntry.model_validate({})


class ServiceEntry(BaseModel):
    """One entry of services.yml as it is written."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    npm: Annotated[str, _pinned(parse_npm)] = Field("", description="A pinned npm package, `name@1.2.3`.")
    pypi: Annotated[str, _pinned(parse_pypi)] = Field("", description="A pinned package, `name==1.2.3`.")
    command: Words = Field([], description="A program that is already there: a list, or words in a string.")
    url: Annotated[str, AfterValidator(_http)] = Field("", description="An MCP endpoint that already runs.")
    image: Annotated[str, AfterValidator(_given)] = Field(
        "", description="A container image that a Docker engine has already."
    )
    deployment: Annotated[str, AfterValidator(_deployment)] = Field(
        "", description="A Kubernetes deployment, `namespace/name`, scaled between 0 and 1."
    )
    endpoint: Annotated[str, AfterValidator(_http)] = Field(
        "",
        description="The address it serves MCP at once it runs, when it does not use standard streams; "
        "`{port}` in it and in `args` is a free port.",
    )
    headers: dict[str, str] = Field({}, description="HTTP headers sent to `url`.")
    entry: str = Field("", description="The executable to run when the package has several.")
    with_: list[str] = Field([], alias="with", description="Further requirements, e.g. `mcp<2`.")
    args: list[str] = Field([], description="Arguments; `~` at the start of one is the home directory.")
    env: dict[str, str] = Field({}, description="Environment variables the service gets.")
    cwd: str = Field(
        "",
        description="Its working directory, relative to this file; a `command` runs beside this file.",
    )
    environment: str = Field(
        "",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$|^$",
        description="Packages of one registry that name the same environment are installed together.",
    )
    needs: list[Annotated[str, AfterValidator(_need)]] = Field(
        [], description="What must be there: programs (`git`, `node>=20`) and variables (`env:NAME`)."
    )
    directories: list[str] = Field([], description="Directories made before it starts.")
    enabled: Flag = Field(True, description="Whether it is listed and started at all.")
    priority: Literal["critical", "high", "normal", "low"] = Field("normal", description="Who sleeps last.")
    stateless: Flag = Field(False, description="Nothing is lost when it is stopped.")
    sleep: Literal["auto", "warm", "frozen", "paged_hot", "paged_full", "respawn", "checkpoint"] = Field(
        "auto", description="How it sleeps: a tier, or `auto` to have the best one measured."
    )
    wake_target: Limit | None = Field(
        None, description="How long a wake may take, instead of its priority's."
    )
    limits: LimitsEntry = Field(
        default_factory=_no_limits, description="What it may use, over the limits of its priority."
    )
    idle_timeout: Duration = Field(300.0, description="Asleep after this long without a call.")
    min_sleep_time: Duration = Field(30.0, description="Never asleep sooner than this after a wake.")
    start_timeout: Limit = Field(30.0, description="How long a start may take.")
    stop_timeout: Limit = Field(5.0, description="How long it may take to end before it is killed.")
    description: str = Field("", description="What it is for, for people.")


class ServicesFile(BaseModel):
    """The whole of services.yml."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    services: dict[str, ServiceEntry] = Field(description="The services by name.")
