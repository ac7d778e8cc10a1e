"""`tool-router targets`, `breaker` and `metrics`: what running routers know of their gateways."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import anyio
import typer
from rich.console import Console
from rich.table import Table

from tool_router.cli.run import FAILED, WRONG_USE, AsJson, fail, print_json
from tool_router.control.client import Reply, ask_routers
from tool_router.errors import ControlError

Name = Annotated[str, typer.Argument(help="Its name, as `list` shows it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    targets = typer.Typer(help="The gateways that a running router balances over.", no_args_is_help=True)
    targets.command("list")(list_targets)
    targets.command("drain")(drain)
    targets.command("resume")(resume)
    targets.command("use")(use)
    breaker = typer.Typer(help="The circuit breakers of a running router.", no_args_is_help=True)
    breaker.command("list")(list_breakers)
    breaker.command("reset")(reset)
    metrics = typer.Typer(help="What a running router has measured.", no_args_is_help=True)
    metrics.command("reset")(reset_metrics)
    app.add_typer(targets, name="targets")
    app.add_typer(breaker, name="breaker")
    app.add_typer(metrics, name="metrics")


def list_targets(as_json: AsJson = False) -> None:
    """Show every target: whether it is used, its breaker, its load and how it did of late."""
    replies = _ask("status")
    if as_json:
        print_json([reply.value for reply in replies])
        return
    for reply in replies:
        value = _value(reply)
        typer.echo(f"router {reply.pid}: {value['gateway']}, strategy {value['strategy']}{_shadow(value)}")
        _print(
            ("target", "use", "breaker", "share", "in flight", "per min", "p50 ms", "p95 ms", "success"),
            [
                (
                    target["name"],
                    target["use"],
                    target["breaker"],
                    f"{target['share']:.0%}",
                    str(target["in_flight"]),
                    f"{target['per_minute']:.0f}",
                    f"{target['p50_ms']:.0f}",
                    f"{target['p95_ms']:.0f}",
                    f"{target['success_rate']:.0%}" if target["requests"] else "-",
                )
                for target in value["targets"]
            ],
        )
        if value["providers"]:
            _print(
                ("models from", "use", "model", "state", "in flight", "per min", "p50 ms", "success"),
                [
                    (
                        host["name"],
                        host["use"],
                        host["model"] or "-",
                        "used" if host["in_use"] else host["failing"] or "no model",
                        str(host["in_flight"]),
                        f"{host['per_minute']:.0f}",
                        f"{host['p50_ms']:.0f}",
                        f"{host['success_rate']:.0%}" if host["requests"] else "-",
                    )
                    for host in value["providers"]
                ],
            )


def drain(name: Name, as_json: AsJson = False) -> None:
    """Send a target no more calls; those under way go on."""
    _change("target_drain", as_json, lambda value: f"{value['target']}: drained", name=name)


def resume(name: Name, as_json: AsJson = False) -> None:
    """Use a drained target again, a little at first."""
    _change("target_resume", as_json, lambda value: f"{value['target']}: used again", name=name)


def use(
    strategy: Annotated[str, typer.Argument(help="How targets are chosen from now on.")],
    shadow: Annotated[
        str | None, typer.Option(help="A second strategy that only reports what it would have done.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Choose targets by another strategy, until the router ends."""
    _change("strategy", as_json, lambda value: f"strategy {value['strategy']}", name=strategy, shadow=shadow)


def list_breakers(as_json: AsJson = False) -> None:
    """Show every breaker: of gateways, services and tools that were called."""
    replies = _ask("status")
    if as_json:
        print_json([{"pid": reply.pid, "breakers": _value(reply)["breakers"]} for reply in replies])
        return
    for reply in replies:
        breakers = _value(reply)["breakers"]
        typer.echo(f"router {reply.pid}: {len(breakers)} breakers")
        _print(
            ("breaker", "state", "tried again in"),
            [
                (one["name"], one["state"], f"{one['retry_after_s']:.0f} s" if one["retry_after_s"] else "")
                for one in breakers
            ],
        )


def reset(
    name: Annotated[str | None, typer.Argument(help="As `list` shows it; all of them without.")] = None,
    as_json: AsJson = False,
) -> None:
    """Close a breaker, or all of them, and end the pause that a gateway asked for."""
    _change(
        "breaker_reset", as_json, lambda value: f"reset: {', '.join(value['reset']) or 'none'}", name=name
    )


def reset_metrics(as_json: AsJson = False) -> None:
    """Forget response times, rates and ratings of every target and service."""
    _change("metrics_reset", as_json, lambda value: f"forgotten: {', '.join(value['targets'])}")


def _change(
    command: str, as_json: bool, told: Callable[[Mapping[str, Any]], str], **arguments: Any
) -> None:  # a flag
    replies = _ask(command, **arguments)
    if as_json:
        print_json([{"pid": reply.pid, **_value(reply)} for reply in replies])
        return
    for reply in replies:
        typer.echo(f"router {reply.pid}: {told(_value(reply))}")


def _ask(command: str, **arguments: Any) -> Sequence[Reply]:
    """The answers of the routers that run; a refusal of all of them ends the command."""
    try:
        replies = anyio.run(lambda: ask_routers(os.environ, command, **arguments))
    except ControlError as error:
        raise fail(error, FAILED) from error
    answered = [reply for reply in replies if reply.value is not None]
    for reply in replies:
        if reply.value is None:
            typer.echo(f"tool-router: router {reply.pid}: {reply.error}", err=True)
    if not answered:
        raise typer.Exit(WRONG_USE)
    return answered


def _value(reply: Reply) -> Mapping[str, Any]:
    assert reply.value is not None, "only answers are shown"
    return reply.value


def _shadow(value: Mapping[str, Any]) -> str:
    shadow = value.get("shadow")
    if not shadow:
        return ""
    return f"; {shadow['strategy']} would have changed {shadow['changed']} of {shadow['decisions']}"


def _print(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)
