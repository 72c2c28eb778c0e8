/** `node scripts/run.mjs sandbox/serve.ts --port 4999`: a sandbox on its own, until it is told to stop. */

import { parseArgs } from 'node:util'
import { CLIENTS, type Sandbox, startSandbox } from './sandbox.ts'
import { DEFAULTS, isSwitch, RULES, type Switches } from './switches.ts'

export const HELP = `A third-party OAuth 2 provider that misbehaves on request.

  --port <n>             where it listens; 4999 when left out, 0 for any free one
  --host <address>       127.0.0.1 when left out
  --client-id <id>       the app it knows; ${CLIENTS[0].client_id} when left out
  --client-secret <s>    its secret; ${CLIENTS[0].client_secret} when left out
  --redirect-uri <url>   an address the app may come back to (repeatable); any, when left out
  --set <switch>=<value> a switch (repeatable):
${Object.entries(RULES)
  .map(([name, { says }]) => `      ${name.padEnd(22)} ${says} (${JSON.stringify(DEFAULTS[name as keyof Switches])})`)
  .join('\n')}
`

/** Null when only help was asked for. */
export async function serve(args: readonly string[], print: (line: string) => void): Promise<Sandbox | null> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      host: { type: 'string' },
      port: { type: 'string', default: '4999' },
      'client-id': { type: 'string' },
      'client-secret': { type: 'string' },
      'redirect-uri': { type: 'string', multiple: true },
      set: { type: 'string', multiple: true, default: [] },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    print(HELP)
    return null
  }
  const port = Number(values.port)
  if (!Number.isInteger(port) || port < 0 || port > 65535)
    throw new RangeError(`--port must be a number up to 65535, not ${values.port}`)
  const app = {
    ...CLIENTS[0],
    ...(values['client-id'] !== undefined && { client_id: values['client-id'] }),
    ...(values['client-secret'] !== undefined && { client_secret: values['client-secret'] }),
    ...(values['redirect-uri'] && { redirect_uris: values['redirect-uri'] }),
  }
  const host = values.host === undefined ? {} : { host: values.host }
  const sandbox = await startSandbox({ ...host, port, clients: [app, CLIENTS[1]!], ...switchesIn(values.set) })
  print(`sandbox listening on ${sandbox.url}`)
  return sandbox
}

function switchesIn(pairs: readonly string[]): Partial<Switches> {
  const read = pairs.map((pair) => {
    const at = pair.indexOf('=')
    const name = pair.slice(0, at)
    if (at === -1 || !isSwitch(name)) throw new RangeError(`--set ${pair}: there are ${Object.keys(RULES).join(', ')}`)
    return [name, valueOf(name, pair.slice(at + 1))] as const
  })
  return Object.fromEntries(read)
}

/** `3600` is a number and `true` a boolean where the switch takes one; `007` as an account's name stays text. */
function valueOf(name: keyof Switches, text: string): unknown {
  const candidates = [text === 'true' ? true : text === 'false' ? false : undefined, text.trim() ? Number(text) : undefined]
  return candidates.find((value) => value !== undefined && RULES[name].allows(value)) ?? text
}

// Not `import.meta.main`: behind the launcher this file is imported, and Node 22 does not have it.
if (process.argv[1] === import.meta.filename) {
  try {
    const sandbox = await serve(process.argv.slice(2), console.log)
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void sandbox?.close())
  } catch (error) {
    console.error((error as Error).message)
    process.exitCode = 1
  }
}
