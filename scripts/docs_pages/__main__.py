"""Write the generated pages, or check that they are what would be written; see scripts/generate_docs."""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.docs_pages.configuration import PAGE, render


def main(arguments: list[str]) -> int:
    """Write the page; with --check compare it and return 1 where it differs."""
    page = Path(__file__).parents[2] / PAGE
    text = render()
    if "--check" not in arguments:
        page.write_text(text, encoding="utf-8")
        print(f"{PAGE} written")
        return 0
    if page.is_file() and page.read_text(encoding="utf-8") == text:
        print(f"{PAGE} is up to date")
        return 0
    print(f"{PAGE} is out of date: run scripts/generate_docs", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
