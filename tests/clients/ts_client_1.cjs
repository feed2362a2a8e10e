// An agent on the official TypeScript SDK 1.x: lists and calls through a URL or a command.
//
//     node ts_client_1.cjs MODE URL|COMMAND ARG...
//
// It knows one mode, `legacy`. Prints the same object as python_client.py. The SDK is found in
// the folder that CALLGATE_NODE_TOOLS names.
const load = require('node:module').createRequire(process.env.CALLGATE_NODE_TOOLS + '/');
const { Client } = load('@modelcontextprotocol/sdk/client/index.js');
const { StdioClientTransport } = load('@modelcontextprotocol/sdk/client/stdio.js');
const { StreamableHTTPClientTransport } = load('@modelcontextprotocol/sdk/client/streamableHttp.js');

async function main() {
  const [, command, ...args] = process.argv.slice(2);
  const transport = command.startsWith('http://')
    ? new StreamableHTTPClientTransport(new URL(command))
    : new StdioClientTransport({ command, args, env: process.env });
  const client = new Client({ name: 'callgate-test', version: '1.0.0' });
  await client.connect(transport);
  const seen = { tools: (await client.listTools()).tools.map((tool) => tool.name) };
  for (const [key, name, given] of [
    ['echo', 'echo', { message: 'hi' }],
    ['get-sum', 'get-sum', { a: 2, b: 40 }],
    ['too-much', 'get-sum', { a: 99, b: 1 }],
  ]) {
    const answer = await client.callTool({ name, arguments: given });
    seen[key] = { error: answer.isError === true, text: answer.content[0].text };
  }
  try {
    await client.callTool({ name: 'danger', arguments: {} });
    seen.danger = null;
  } catch (error) {
    seen.danger = error.code;
  }
  if (transport.terminateSession) await transport.terminateSession();
  await client.close();
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
