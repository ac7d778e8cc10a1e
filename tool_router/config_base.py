"""What every section of the settings has in common."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Seconds = Annotated[float, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of router.yml: frozen, and strict about keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def check_url(key: str, url: SecretStr, *schemes: str) -> None:
    """Refuse an address that can't be meant, without repeating it: it may hold a password."""
    value = url.get_secret_value()
    if not value:
        return
    try:
        parts = urlsplit(value)
        usable = parts.scheme in schemes and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(
            f"`{key}` must be an address that starts with {' or '.join(f'{s}://' for s in schemes)}"
        )
