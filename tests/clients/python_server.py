"""A server on the official Python SDK: `echo` and `get-sum`.

    python python_server.py stdio|stateful|stateless|json [PORT]

`stateful` and `stateless` say what clients before 2026-07-28 get; `json` is stateless and answers
without streams.
"""

import sys

from mcp.server import MCPServer

server = MCPServer("callgate-python-server")


@server.tool(name="echo")
def echo(message: str) -> str:
    """Says it again."""
    return f"Echo: {message}"


@server.tool(name="get-sum")
def get_sum(a: int, b: int) -> str:
    """Adds two numbers."""
    return f"The sum of {a} and {b} is {a + b}."


@server.tool(name="danger")
def danger() -> str:
    """Must stay unseen."""
    return "it ran"


if sys.argv[1] == "stdio":
    server.run("stdio")
else:
    server.run(
        "streamable-http",
        port=int(sys.argv[2]),
        stateless_http=sys.argv[1] != "stateful",
        json_response=sys.argv[1] == "json",
    )
