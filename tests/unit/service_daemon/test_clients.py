"""Which notifications a client with a session gets."""

from __future__ import annotations

import anyio
import pytest

from service_manager.endpoint.clients import QUEUE, Clients, SessionClient
from service_manager.lifecycle.known import Notification

TOOLS = Notification("notifications/tools/list_changed")


def heard(client: SessionClient) -> list[Notification]:
    found: list[Notification] = []
    while True:
        try:
            found.append(client.waiting.receive_nowait())
        except (anyio.WouldBlock, anyio.EndOfStream):
            return found


def joined(clients: Clients) -> SessionClient:
    client = SessionClient()
    clients.join(client)
    return client


def updated(uri: object) -> Notification:
    return Notification("notifications/resources/updated", {"uri": uri, "xOdd": None})


def said(level: object) -> Notification:
    return Notification("notifications/message", {"level": level, "data": None})


def test_a_changed_list_concerns_everybody_and_nobody_who_has_left() -> None:
    clients = Clients("s")
    one, other = joined(clients), joined(clients)
    clients.leave(one)
    clients.tell(TOOLS)
    assert heard(one) == []
    assert heard(other) == [TOOLS]
    assert len(clients) == 1


@pytest.mark.parametrize(
    ("subscribed", "uri", "told"),
    [
        ("note://a", "note://a", True),
        ("note://a", "note://a/part", True),
        ("note://a/", "note://a/part", True),
        ("note://a", "note://ab", False),
        ("note://a/part", "note://a", False),
        ("note://a", 7, False),
    ],
)
def test_an_updated_resource_concerns_who_subscribed_to_it_or_to_what_it_is_part_of(
    subscribed: str, uri: object, told: bool
) -> None:
    clients = Clients("s")
    client, stranger = joined(clients), joined(clients)
    client.uris.add(subscribed)
    clients.tell(updated(uri))
    assert heard(client) == ([updated(uri)] if told else [])
    assert heard(stranger) == []


@pytest.mark.parametrize(
    ("level", "loud", "quiet", "unnamed"),
    [
        ("debug", True, False, False),
        ("info", True, False, True),
        ("error", True, True, True),
        ("emergency", True, True, True),
        ("novel", True, True, True),
    ],
)
def test_each_client_gets_messages_of_the_level_it_named(
    level: str, loud: bool, quiet: bool, unnamed: bool
) -> None:
    clients = Clients("s")
    talkative, terse, silent = joined(clients), joined(clients), joined(clients)
    talkative.level, terse.level = "debug", "error"
    clients.tell(said(level))
    assert [bool(heard(client)) for client in (talkative, terse, silent)] == [loud, quiet, unnamed]


def test_a_client_that_does_not_read_loses_the_later_ones_and_holds_nobody_up() -> None:
    clients = Clients("s")
    deaf, other = joined(clients), joined(clients)
    for number in range(QUEUE + 50):
        clients.tell(Notification("notifications/x", {"number": number}))
        assert len(heard(other)) == 1
    kept = heard(deaf)
    assert len(kept) == QUEUE
    assert kept[0].params == {"number": 0}
