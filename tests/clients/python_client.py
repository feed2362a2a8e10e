"""An agent on the official Python SDK: lists and calls through a URL, or the command it is given.

    python python_client.py MODE URL|COMMAND ARG...

MODE is the SDK's own: `auto` (probes with server/discover first), `legacy` or a revision.
Prints one JSON object: the tools' names, the text of one `echo` and of two `get-sum`, and the
error's code of a call to `danger`.
"""

import asyncio
import json
import sys

from mcp import Client, MCPError, StdioServerParameters, stdio_client


async def main() -> None:
    mode, command, *arguments = sys.argv[1:]
    if command.startswith("http://"):
        server = command
    else:
        server = stdio_client(StdioServerParameters(command=command, args=arguments))
    async with Client(server, mode=mode) as client:
        listed = await client.list_tools()
        seen = {"tools": [tool.name for tool in listed.tools]}
        for key, name, given in (
            ("echo", "echo", {"message": "hi"}),
            ("get-sum", "get-sum", {"a": 2, "b": 40}),
            ("too-much", "get-sum", {"a": 99, "b": 1}),
        ):
            answer = await client.call_tool(name, given)
            seen[key] = {"error": bool(answer.is_error), "text": answer.content[0].text}
        try:
            await client.call_tool("danger", {})
            seen["danger"] = None
        except MCPError as error:
            seen["danger"] = error.code
        print(json.dumps(seen))


asyncio.run(main())
