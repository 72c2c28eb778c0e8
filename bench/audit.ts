/** What it costs the token path that every token is written into the history: the same broker with and without, in turn, round by round. */

import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { freePort } from '../cli/port.ts'
import { type LoadResult, load, median } from './load.ts'
import { type Measured, startProcess } from './processes.ts'

const { values: options } = parseArgs({
  options: {
    connections: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '4' },
    help: { type: 'boolean', default: false },
  },
})

const HELP = `node scripts/run.mjs bench/audit.ts [--connections 10000] [--rounds 7] [--seconds 4]
`
const SECRET = 'b'.repeat(44)
const AT_ONCE = 16
const progress = (text: string): void => void process.stderr.write(`${text}\n`)

interface Side extends Measured {
  readonly ids: readonly string[]
  readonly bearer: string
}

interface Round extends LoadResult {
  /** Processor time a request is what a noisy machine changes least. */
  readonly cpuMicros: number
}

if (options.help) process.stdout.write(HELP)
else await main()

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'latchstring-bench-'))
  const sandbox = await startProcess('sandbox-process.ts', [])
  try {
    const sides = { with: await side(folder, sandbox, 'audited'), without: await side(folder, sandbox, 'unaudited') }
    const results: Record<keyof typeof sides, Round[]> = { with: [], without: [] }
    for (let round = 0; round <= Number(options.rounds); round++) {
      progress(round === 0 ? 'warming up …' : `round ${round} …`)
      // Who goes first changes, too.
      for (const name of round % 2 === 0 ? (['with', 'without'] as const) : (['without', 'with'] as const)) {
        const result = await asked(sides[name], round === 0 ? 10 : Number(options.seconds))
        if (round > 0) results[name].push(result)
      }
    }
    for (const { stop } of Object.values(sides)) await stop()
    tell(results)
  } finally {
    await sandbox.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

async function side(folder: string, sandbox: Measured, kind: 'audited' | 'unaudited'): Promise<Side> {
  progress(`filling a store with ${options.connections} connections …`)
  const environment = await settings(join(folder, kind), sandbox)
  const seeding = await startProcess('broker-process.ts', [options.connections], environment)
  await seeding.stop()
  const broker = await startProcess('broker-process.ts', ['0', kind], environment)
  const form = new URLSearchParams({ grant_type: 'client_credentials', client_id: 'bench', client_secret: SECRET })
  const answer = await fetch(`${broker.address}/oauth2/token`, { method: 'POST', body: form })
  const { access_token: bearer } = (await answer.json()) as { access_token: string }
  return { ...broker, ids: seeding.sessions, bearer }
}

async function asked(target: Side, seconds: number): Promise<Round> {
  const before = await target.state()
  const result = await load({
    address: target.address,
    connections: AT_ONCE,
    seconds,
    headers: { authorization: `Bearer ${target.bearer}` },
    path: () => `/api/v1/connected_apps/token?session_id=${target.ids[Math.floor(Math.random() * target.ids.length)]}`,
  })
  // What was handed out is written within a second: that belongs to the round.
  await new Promise((resolve) => setTimeout(resolve, 1500))
  const { cpu } = await target.state()
  if (result.failed > 0) throw new Error(`${result.failed} answers were not 200`)
  return { ...result, cpuMicros: (cpu.user + cpu.system - before.cpu.user - before.cpu.system) / result.requests }
}

function tell(results: Readonly<Record<'with' | 'without', readonly Round[]>>): void {
  const middle = (rounds: readonly Round[], of: (round: Round) => number) => median(rounds.map(of))
  for (const [name, rounds] of Object.entries(results))
    process.stdout.write(
      `${name.padEnd(8)} ${middle(rounds, (r) => r.requestsPerSecond).toFixed(0)} req/s, p50 ${middle(rounds, (r) => r.p50Ms).toFixed(2)} ms, ` +
        `p99 ${middle(rounds, (r) => r.p99Ms).toFixed(2)} ms, ${middle(rounds, (r) => r.cpuMicros).toFixed(1)} µs of processor a request\n`,
    )
  const ratio = (of: (round: Round) => number) => median(results.with.map((one, i) => of(one) / of(results.without[i]!)))
  process.stdout.write(
    `ratio    ${ratio((r) => r.requestsPerSecond).toFixed(3)} of the requests, ${ratio((r) => r.cpuMicros).toFixed(3)} of the processor time, medians of the rounds’ ratios\n`,
  )
}

async function settings(folder: string, sandbox: Measured): Promise<Record<string, string>> {
  await mkdir(folder)
  const { provider, app } = sandbox.extra as { provider: object; app: object }
  const setup = {
    providers: [provider],
    apps: [{ ...app, key_code_ref: 'bench', callback_url: 'http://127.0.0.1:9/callback', user_binding: 'none' }],
    callers: [{ client_id: 'bench', client_secret: SECRET, scopes: ['read:connected_apps'], owner: 'bench@example.com' }],
  }
  const file = join(folder, 'latchstring.yaml')
  await writeFile(file, JSON.stringify(setup)) // JSON is YAML
  const port = await freePort('127.0.0.1')
  return {
    LATCHSTRING_PORT: String(port),
    LATCHSTRING_PUBLIC_URL: `http://127.0.0.1:${port}`,
    LATCHSTRING_DATABASE_URL: `sqlite:${join(folder, 'bench.db')}`,
    LATCHSTRING_MASTER_KEY: randomBytes(32).toString('base64'),
    LATCHSTRING_CONFIG: file,
  }
}
