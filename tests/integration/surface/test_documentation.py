"""What the documentation shows is true: commands run, the generated page is current, links lead on."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.docs_pages.configuration import PAGE, render
from tests.integration.surface.conftest import ROOT, RouterHome

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

RUN = ("tool-router", "service-manager")
"""Programs whose shown commands are run, as they stand, in a home of their own."""

RUN_ELSEWHERE = ("scripts/", ".ci/run", "git clone", "cd ", "ollama ")
"""Commands that are only shown here: they make environments, run for minutes or need what is not there; the
checks of every change run the scripts themselves."""

NEEDS_DATA = ("eval",)
"""Commands of the router whose shown arguments are placeholders."""

DONE = (0, 3)
"""Exit codes of a command that did what it is for: 3 is `call`, asking back."""

_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


@dataclass(frozen=True, slots=True)
class Shown:
    """A command as a page shows it."""

    page: str
    line: str

    @property
    def argv(self) -> list[str]:
        """Its words, comments left out."""
        return shlex.split(self.line, comments=True)

    @property
    def program(self) -> str:
        """The program's name, without the directory it is shown in."""
        return Path(self.argv[0]).name


def shown_commands() -> Iterator[Shown]:
    """Every command of every ``console`` block, each behind a dollar sign."""
    for page in PAGES:
        for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.splitlines():
                if line.startswith("$ "):
                    yield Shown(page.name, line.removeprefix("$ "))


COMMANDS = list(shown_commands())
RUNNABLE = [shown for shown in COMMANDS if shown.program in RUN and not {*shown.argv[1:2]} & {*NEEDS_DATA}]


def test_the_pages_show_commands() -> None:
    assert len(RUNNABLE) >= 5


@pytest.mark.parametrize("shown", COMMANDS, ids=lambda shown: f"{shown.page}: {shown.line}")
def test_every_shown_command_is_run_here_or_known_to_be_run_elsewhere(shown: Shown) -> None:
    elsewhere = shown.line.startswith(RUN_ELSEWHERE)
    assert (shown.program in RUN) != elsewhere
    if shown.line.startswith(("scripts/", ".ci/")):
        assert (ROOT / shown.argv[0]).is_file()


@pytest.mark.parametrize("page", sorted({shown.page for shown in RUNNABLE}))
def test_the_shown_commands_run_in_their_order(page: str, router_home: RouterHome) -> None:
    router_home.write_services(time=[sys.executable, str(ROOT / "tests/support/clock_service.py")])
    environ = router_home.environ | {"HOME": str(router_home.directory), "TOOL_ROUTER_LOG": "error"}
    # Clients keep their configuration where these say; an empty home has none of theirs.
    environ.pop("XDG_CONFIG_HOME", None)
    for shown in RUNNABLE:
        if shown.page != page:
            continue
        program = Path(sys.executable).parent / shown.program
        done = subprocess.run(
            [str(program), *shown.argv[1:]],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
            env=environ,
            cwd=router_home.directory,
        )
        assert done.returncode in DONE, f"{shown.line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def test_the_configuration_page_is_what_the_models_say() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == render(), "run scripts/generate_docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    targets = _LINK.findall(page.read_text(encoding="utf-8"))
    missing = [name for name in targets if "://" not in name and not (page.parent / name).exists()]
    assert missing == []
