/** A PostgreSQL of the benchmark's own, as the tests have one, from npm's binaries. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Client } from 'pg'
import { runtime } from '../scripts/runtimes.mjs'
import type { State } from './answering.ts'
import { treeState } from './process-tree.ts'

export interface PostgresServer {
  /** The URL of an empty database. */
  fresh(): Promise<string>
  bytesOf(url: string): Promise<number>
  state(): State
  stop(): Promise<void>
}

export async function startPostgres(): Promise<PostgresServer> {
  const keeper = spawn(
    process.execPath,
    [join(import.meta.dirname, '..', 'test', 'postgres-keeper.ts'), await runtime('postgres')],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  const { port, pid } = await started(keeper)
  const urlOf = (name: string): string => `postgres://postgres:not-a-secret@127.0.0.1:${port}/${name}`
  let databases = 0
  return {
    async fresh() {
      const name = `bench_${++databases}`
      await asking(urlOf('postgres'), (client) => client.query(`create database ${name}`))
      return urlOf(name)
    },
    async bytesOf(url) {
      const { rows } = await asking(url, (client) =>
        client.query<{ bytes: string }>('select pg_database_size(current_database()) as bytes'),
      )
      return Number(rows[0]?.bytes)
    },
    state: () => treeState(pid),
    async stop() {
      const gone = once(keeper, 'exit')
      keeper.stdin?.end()
      await gone
    },
  }
}

async function started(keeper: ChildProcess): Promise<{ port: number; pid: number }> {
  if (!keeper.stdout) throw new Error('the keeper has no output')
  for await (const line of createInterface(keeper.stdout)) return JSON.parse(line) as { port: number; pid: number }
  throw new Error('PostgreSQL did not start')
}

async function asking<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
