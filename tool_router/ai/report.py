"""What a person is told about the models: which are used, why, what was passed over, what would be better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import anyio

from tool_router.ai.assembly import build_provider
from tool_router.ai.models import Choice
from tool_router.ai.ollama import OllamaProvider, Report
from tool_router.ai.pool import ProviderPool
from tool_router.ai.provider import RelevanceProvider
from tool_router.config import Settings
from tool_router.errors import ProviderError

_PASSED_OVER = 4
"""How many models that were not chosen are named."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that was looked at.

    Attributes:
        works: whether it can be used as it is.
        detail: what was found.
        next_step: what would make it better; empty when nothing would.
    """

    what: str
    works: bool
    detail: str
    next_step: str = ""


async def check_models(settings: Settings, environ: Mapping[str, str], limit_s: float) -> list[Checked]:
    """Look at every configured provider; never fails because of one.

    Args:
        settings: which providers there are.
        environ: where keys are read from.
        limit_s: seconds one provider may take.
    """
    found: list[Checked] = []
    provider = build_provider(settings, environ)
    try:
        for one in provider.providers if isinstance(provider, ProviderPool) else (provider,):
            found.extend(await _checked(one, limit_s))
    finally:
        with anyio.CancelScope(shield=True):
            await provider.aclose()
    return found


async def _checked(provider: RelevanceProvider, limit_s: float) -> list[Checked]:
    try:
        with anyio.fail_after(limit_s):
            if isinstance(provider, OllamaProvider):
                return await _ollama(provider)
            return [await _embeds(provider), await _chats(provider)]
    except ProviderError as error:
        return [
            Checked(
                provider.name,
                works=False,
                detail=f"{error.tried} Without it ranking goes by keywords.",
                next_step=error.next_step,
            )
        ]
    except TimeoutError:
        late = f"it did not answer within {limit_s:g} s."
        return [Checked(provider.name, works=False, detail=late, next_step="Is the host overloaded?")]


async def _ollama(provider: OllamaProvider) -> list[Checked]:
    report = await provider.report()
    found = [_of_choice(provider.name, choice, report) for choice in (report.embedding, report.chat)]
    if report.embedding.chosen is not None:
        tried = await _embeds(provider)
        if not tried.works:
            found[0] = tried
    return found


def _of_choice(name: str, choice: Choice, report: Report) -> Checked:
    passed = "; ".join(f"not {model.name}: {model.why}" for model in choice.rejected[:_PASSED_OVER])
    chosen = choice.chosen.name if choice.chosen else "none"
    detail = f"{chosen}: {choice.why} ({report.hardware})" + (f"; {passed}" if passed else "")
    better = "" if not choice.better else f"{'Better' if choice.chosen else 'Run'}: `{choice.better}`."
    return Checked(f"{name}, {choice.use} model", choice.chosen is not None, detail, better)


async def _embeds(provider: RelevanceProvider) -> Checked:
    what = f"{provider.name}, embedding model"
    try:
        model = await provider.embedding_model()
        await provider.embed(["hello"], model)
    except ProviderError as error:
        return Checked(what, works=False, detail=error.tried, next_step=error.next_step)
    return Checked(what, works=True, detail=f"embeds with {model}")


async def _chats(provider: RelevanceProvider) -> Checked:
    what = f"{provider.name}, chat model"
    try:
        model = await provider.chat_model()
        await provider.warm(model)
    except ProviderError as error:
        return Checked(what, works=False, detail=error.tried, next_step=error.next_step)
    # To see it answer would cost money with a vendor.
    return Checked(what, works=True, detail=f"would judge with {model}")
