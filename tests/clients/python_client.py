"""An agent on the official Python SDK: lists and calls through the command it is given.

    python python_client.py MODE COMMAND ARG...

MODE is the SDK's own: `auto` (probes with server/discover first), `legacy` or a revision.
Prints one JSON object: the tools' names, the text of one `echo` and of one `get-sum`.
"""

import asyncio
import json
import sys

from mcp import Client, StdioServerParameters, stdio_client


async def main() -> None:
    mode, command, *arguments = sys.argv[1:]
    server = stdio_client(StdioServerParameters(command=command, args=arguments))
    async with Client(server, mode=mode) as client:
        listed = await client.list_tools()
        seen = {"tools": [tool.name for tool in listed.tools]}
        for name, given in (("echo", {"message": "hi"}), ("get-sum", {"a": 2, "b": 40})):
            answer = await client.call_tool(name, given)
            seen[name] = {"error": bool(answer.is_error), "text": answer.content[0].text}
        print(json.dumps(seen))


asyncio.run(main())
