"""Tools as real MCP servers publish them, shortened, for the tests of this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tool_router.catalog.model import Tool

TEXT = {"type": "string"}


def said(description: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"type": kind, "description": description, **more}


def record(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names}


def tool(name: str, description: str, schema: Any) -> Tool:
    return Tool(f"s::{name}", name, "s", description=description, input_schema=schema)


CURRENT_TIME = tool(
    "get_current_time",
    "Get current time in a specific timezone",
    record(timezone=said("IANA timezone name (e.g., 'America/New_York', 'Europe/London').")),
)
CONVERT_TIME = tool(
    "convert_time",
    "Convert time between timezones",
    record(
        source_timezone=said("Source IANA timezone name (e.g., 'America/New_York', 'Europe/London')."),
        time=said("Time to convert in 24-hour format (HH:MM)"),
        target_timezone=said("Target IANA timezone name (e.g., 'Asia/Tokyo')."),
    ),
)
LIST_DIRECTORY = tool(
    "list_directory", "Get a listing of all files and directories in a path.", record(path=TEXT)
)
READ_FILE = tool(
    "read_text_file",
    "Read the complete contents of a file from the file system as text.",
    record(
        ["path"],
        path=TEXT,
        tail=said("If provided, returns only the last N lines of the file", "number"),
        head=said("If provided, returns only the first N lines of the file", "number"),
    ),
)
WRITE_FILE = tool("write_file", "Create a new file or overwrite one.", record(path=TEXT, content=TEXT))
MOVE_FILE = tool("move_file", "Move or rename files.", record(source=TEXT, destination=TEXT))
SEARCH_FILES = tool("search_files", "Search for files matching a pattern.", record(path=TEXT, pattern=TEXT))
CREATE_ENTITIES = tool(
    "create_entities",
    "Create multiple new entities in the knowledge graph",
    record(
        entities={
            "type": "array",
            "items": record(
                name=said("The name of the entity"),
                entityType=said("The type of the entity"),
                observations=said("An array of observation contents", "array", items=TEXT),
            ),
        }
    ),
)
ADD_OBSERVATIONS = tool(
    "add_observations",
    "Add new observations to existing entities in the knowledge graph",
    record(
        observations={
            "type": "array",
            "items": record(
                entityName=said("The name of the entity to add the observations to"),
                contents=said("An array of observation contents to add", "array", items=TEXT),
            ),
        }
    ),
)
SEARCH_NODES = tool(
    "search_nodes",
    "Search for nodes in the knowledge graph based on a query",
    record(query=said("The search query to match against entity names")),
)
OPEN_NODES = tool(
    "open_nodes",
    "Open specific nodes in the knowledge graph by their names",
    record(names=said("An array of entity names to retrieve", "array", items=TEXT)),
)
GET_SUM = tool(
    "get-sum",
    "Returns the sum of two numbers",
    record(a=said("First number", "number"), b=said("Second number", "number")),
)
ECHO = tool("echo", "Echoes back the input string", record(message=said("Message to echo")))
LONG_RUNNING = tool(
    "longRunningOperation",
    "Demonstrates a long running operation with progress updates",
    record(
        [],
        duration=said("Duration of the operation in seconds", "number", default=10),
        steps=said("Number of steps in the operation", "number", default=5),
    ),
)
GIT_LOG = tool(
    "git_log",
    "Shows the commit logs",
    record(["repo_path"], repo_path=TEXT, max_count={"type": "integer", "default": 10}),
)
CREATE_ISSUE = tool(
    "create_issue",
    "Create a new issue in a GitHub repository",
    record(
        ["owner", "repo", "title"],
        owner=said("Repository owner"),
        repo=said("Repository name"),
        title=said("Issue title"),
        body=said("Issue body content"),
    ),
)
FETCH = tool(
    "fetch",
    "Fetches a URL from the internet.",
    record(
        ["url"],
        url=said("URL to fetch", format="uri"),
        max_length=said("Maximum number of characters to return.", "integer", default=5000),
        raw=said("Get the actual HTML content, without simplification.", "boolean", default=False),
    ),
)
READ_QUERY = tool(
    "read_query",
    "Execute a SELECT query on the SQLite database",
    record(query=said("SELECT SQL query to execute")),
)
BOOK_ROOM = tool(
    "book_room",
    "Book a hotel room",
    record(
        ["city", "nights"],
        city=said("The city of the hotel"),
        nights=said("How many nights to stay", "integer"),
        check_in=said("The check-in date (YYYY-MM-DD)"),
        room_type=said("The type of room", enum=["single", "double", "suite"]),
        breakfast=said("Whether to include breakfast", "boolean"),
        budget=said("The most to pay, in USD", "number"),
    ),
)


def schema_of(found: Tool) -> Mapping[str, Any]:
    assert isinstance(found.input_schema, Mapping)
    return found.input_schema
