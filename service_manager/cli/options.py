"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

File = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="services.yml to use instead of the usual one.", show_default=False),
]
LongFile = Annotated[
    Path | None,
    typer.Option("--file", help="services.yml to use instead of the usual one.", show_default=False),
]
"""`File` for the one command whose `-f` is something else."""
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Names = Annotated[list[str] | None, typer.Argument(help="Services; all when none is named.")]
