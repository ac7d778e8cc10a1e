"""Small catalogs for tests of the ranking."""

from __future__ import annotations

from tool_router.catalog.model import Tool


def tool(name: str, description: str = "", server: str = "", **properties: str) -> Tool:
    """A tool whose parameters are strings with the given descriptions."""
    schema = {
        "type": "object",
        "properties": {key: {"type": "string", "description": text} for key, text in properties.items()},
    }
    key = f"{server}::{name}" if server else name
    return Tool(key, name, server=server, description=description, input_schema=schema, call_name=name)


OFFICE = (
    tool("create_issue", "Open a new issue in a repository", "GitHub", title="Title of the issue"),
    tool("list_issues", "List the issues of a repository", "GitHub", state="open or closed"),
    tool("delete_issue", "Delete an issue for good", "GitHub", number="Its number"),
    tool("send_message", "Send a message to a channel", "Slack", channel="Name", text="What to say"),
    tool("get_current_weather", "Weather at a place right now", "weather", city="Name of the city"),
    tool("fetch_url", "Read the page at an address", "fetch", url="The address"),
    tool("fetch_urls", "Read the pages at several addresses", "fetch", urls="The addresses"),
    tool("суммаризировать_текст", "Кратко пересказать длинный текст", "помощник", текст="Исходный текст"),
)
