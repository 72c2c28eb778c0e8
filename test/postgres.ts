/** A real PostgreSQL for the tests: one server for the whole run, started when the first test asks for it, gone when the run ends. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after } from 'node:test'
import { Client } from 'pg'
import { runtime } from '../scripts/runtimes.mjs'

export interface PostgresServer {
  /** The URL of an empty database with a new name. */
  fresh(): Promise<string>
  /** Kills the server as a power cut does, and says when it is gone. null: it is not ours to kill. */
  readonly crash: (() => Promise<void>) | null
  /** Starts it again. */
  readonly recover: () => Promise<void>
}

export interface Running extends PostgresServer {
  stop(): Promise<void>
}

let running: Promise<Running> | null = null
let databases = 0

/** Hundreds of databases are taken away at the end, which a busy machine takes longer for than any one test may last. */
const STOPPING_MS_MAX = 600_000

after(
  async () => {
    await (await running?.catch(() => null))?.stop()
    running = null
  },
  { timeout: STOPPING_MS_MAX },
)

/** The one of this run of tests. */
export function postgres(): Promise<PostgresServer> {
  running ??= startPostgres()
  return running
}

/** `LATCHSTRING_TEST_DATABASE_URL` names a server to use instead: a user that may create databases. */
export function startPostgres(): Promise<Running> {
  const foreign = process.env['LATCHSTRING_TEST_DATABASE_URL']
  return foreign ? borrowed(foreign) : owned()
}

/** Asks a database something from outside of any store. */
export async function inDatabase<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

async function borrowed(url: string): Promise<Running> {
  const made: string[] = []
  return {
    async fresh() {
      const name = `latchstring_test_${process.pid}_${++databases}`
      made.push(name)
      return create(url, name)
    },
    crash: null,
    async recover() {},
    async stop() {
      await inDatabase(url, async (client) => {
        for (const name of made) await client.query(`drop database if exists ${name} with (force)`)
      })
    },
  }
}

async function owned(): Promise<Running> {
  // Processes are killed here, and no power is cut: what they wrote the system has. After a kill every file would be synced, which took minutes.
  const command = [join(import.meta.dirname, 'postgres-keeper.ts'), await runtime('postgres'), 'fsync=off']
  const keeper = spawn(process.execPath, command, {
    detached: true, // Ctrl-C is for the tests, which end first
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const gone = once(keeper, 'exit')
  const lines = createInterface(keeper.stdout)[Symbol.asyncIterator]()
  const started = async (): Promise<{ port: number; pid: number }> => {
    const { value, done } = await lines.next()
    if (done) throw new Error('PostgreSQL did not start')
    return JSON.parse(value) as { port: number; pid: number }
  }
  let { port, pid } = await started()
  const admin = `postgres://postgres:not-a-secret@127.0.0.1:${port}/postgres`
  return {
    fresh: () => create(admin, `test_${++databases}`),
    async crash() {
      const workers = await inDatabase(admin, async (client) => {
        process.kill(pid, 'SIGSTOP') // It starts no others meanwhile.
        const { rows } = await client.query<{ pid: number }>('select pid from pg_stat_activity')
        return rows.map((row) => row.pid)
      })
      // Left to themselves they would go once they notice that it is gone, and answer until then.
      for (const each of [pid, ...workers]) kill(each)
      while (await inDatabase(admin, async () => true).catch(() => false));
    },
    async recover() {
      keeper.stdin.write('start\n')
      ;({ port, pid } = await started())
    },
    async stop() {
      keeper.stdin.end()
      await gone
    },
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function create(admin: string, name: string): Promise<string> {
  await inDatabase(admin, (client) => client.query(`create database ${name}`))
  const url = new URL(admin)
  url.pathname = `/${name}`
  return url.href
}
