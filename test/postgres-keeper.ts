/**
 * Owns one PostgreSQL server for a run of tests: makes its data folder, starts it, and takes both away when its standard input ends,
 * which it does however the tests end.
 *
 *   node test/postgres-keeper.ts PATH-OF-POSTGRES [SETTING=VALUE …]      writes {"port", "pid"} on a line for each start; "start" on a line starts it again
 */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { freePort } from '../cli/port.ts'

const [program = '', ...further] = process.argv.slice(2)
const PATIENCE_MS = 60_000
const PASSWORD = 'not-a-secret'

/** PostgreSQL refuses to run as root. */
const user = process.getuid?.() === 0 ? { uid: idOf('-u'), gid: idOf('-g') } : {}
const home = mkdtempSync(join(tmpdir(), 'latchstring-postgres-'))
const data = join(home, 'data')
let server: ChildProcess | null = null

process.on('exit', () => rmSync(home, { recursive: true, force: true, maxRetries: 10 }))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

const lines = createInterface(process.stdin)
const ended = once(lines, 'close')
lines.on('line', () => void start())
initialise()
const port = await freePort('127.0.0.1')
await start()
await ended
await end(server)
process.exit(0)

/** At once, without writing anything: nobody will read it. */
async function end(child: ChildProcess | null): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGQUIT')
  await once(child, 'exit')
}

function initialise(): void {
  const passwordFile = join(home, 'password')
  writeFileSync(passwordFile, PASSWORD)
  if (user.uid !== undefined && user.gid !== undefined)
    for (const path of [home, passwordFile]) chownSync(path, user.uid, user.gid)
  chmodSync(home, 0o700)
  const options = [
    '--username=postgres',
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
    '--encoding=UTF8',
    '--locale=C',
    '--no-sync',
  ]
  execFileSync(join(dirname(program), 'initdb'), [...options, '-D', data], {
    ...user,
    cwd: home,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

async function start(): Promise<void> {
  const settings = [
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    `unix_socket_directories=${home}`,
    'max_connections=300',
    ...further,
  ]
  const deadline = Date.now() + PATIENCE_MS
  while (Date.now() < deadline) {
    let said = ''
    const child = spawn(program, ['-D', data, ...settings.flatMap((setting) => ['-c', setting])], {
      ...user,
      cwd: home,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    child.stderr.on('data', (chunk) => (said = `${said}${String(chunk)}`.slice(-2_000)))
    server = child
    while (child.exitCode === null && child.signalCode === null && Date.now() < deadline) {
      if (await answers()) return void process.stdout.write(`${JSON.stringify({ port, pid: child.pid })}\n`)
      await sleep(20)
    }
    // After a kill its own processes hold on to their memory for a moment.
    if (!/shared memory block|lock file/.test(said)) throw new Error(`PostgreSQL did not start:\n${said}`)
    await sleep(50)
  }
  throw new Error('PostgreSQL did not start in time')
}

async function answers(): Promise<boolean> {
  const client = new Client({ host: '127.0.0.1', port, user: 'postgres', password: PASSWORD, database: 'postgres' })
  client.on('error', () => {})
  try {
    await client.connect()
    return true
  } catch {
    return false
  } finally {
    await client.end()
  }
}

function idOf(what: '-u' | '-g'): number {
  return Number(execFileSync('id', [what, 'nobody'], { encoding: 'utf8' }))
}
