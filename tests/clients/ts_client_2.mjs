// An agent on the official TypeScript SDK 2.x: lists and calls through a URL or a command.
//
//     node ts_client_2.mjs MODE URL|COMMAND ARG...
//
// MODE is `auto` (probes with server/discover first), `legacy` or a revision. Prints the same
// object as python_client.py. The SDK is found in the folder that CALLGATE_NODE_TOOLS names.
import { createRequire } from 'node:module';

const load = createRequire(process.env.CALLGATE_NODE_TOOLS + '/');
const { Client, StreamableHTTPClientTransport } = load('@modelcontextprotocol/client');
const { StdioClientTransport } = load('@modelcontextprotocol/client/stdio');

const [mode, command, ...args] = process.argv.slice(2);
const transport = command.startsWith('http://')
  ? new StreamableHTTPClientTransport(new URL(command))
  : new StdioClientTransport({ command, args, env: process.env });
const client = new Client(
  { name: 'callgate-test', version: '1.0.0' },
  { versionNegotiation: { mode: mode === 'auto' || mode === 'legacy' ? mode : { pin: mode } } },
);
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
await client.close();
console.log(JSON.stringify(seen));
