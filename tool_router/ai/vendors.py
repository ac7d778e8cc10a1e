"""Addresses of vendors whose models answer OpenAI's protocol, as their documentation gives them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

BASE_URLS: Mapping[str, str] = MappingProxyType(
    {
        "openai": "https://api.openai.com/v1",
        "anthropic": "https://api.anthropic.com/v1",
        "gemini": "https://generativelanguage.googleapis.com/v1beta/openai",
        "xai": "https://api.x.ai/v1",
    }
)
"""Base URLs by kind. Which models and abilities are behind them is asked, never assumed."""
