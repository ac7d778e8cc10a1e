"""The key of a provider: from an environment variable or a file, kept where nothing prints it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from tool_router.errors import ProviderError


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where a key is found; without a variable and a file there is none.

    Attributes:
        variable: the name of an environment variable.
        file: a file that holds nothing but the key.
    """

    variable: str = ""
    file: Path | None = None

    def read(self, environ: Mapping[str, str]) -> SecretStr:
        """The key; an empty one where none is configured.

        Raises:
            ProviderError: ``no_key``: the variable is not set, the file can't be read, or what they hold
                can't be sent in a header.
        """
        if self.variable:
            where = f"The environment variable {self.variable}"
            text = environ.get(self.variable, "")
        elif self.file is not None:
            where = f"The key file {self.file}"
            try:
                text = self.file.expanduser().read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ProviderError(
                    "no_key", f"{where} can't be read ({type(error).__name__}).", "Check key_file."
                ) from None
        else:
            return SecretStr("")
        key = text.strip()
        if not key:
            raise ProviderError("no_key", f"{where} holds no key.", "Set it, or remove the provider.")
        if not (key.isascii() and key.isprintable()):
            # The HTTP client would name the whole header in its error.
            raise ProviderError("no_key", f"{where} holds characters that no key has.", "Correct it.")
        return SecretStr(key)
