/** Works on the store as its operator: no running server is needed, and one that runs notices within a second. */

import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { type Config, readConfig } from '../src/config.ts'
import { type Caller, SCOPES } from '../src/core/caller.ts'
import type { Ports } from '../src/core/ports.ts'
import { DEFAULT_TENANT } from '../src/core/setup.ts'
import type { Broker } from '../src/main.ts'
import { remark } from './terminal.ts'

/** What the history calls whoever runs the commands. */
export const OPERATOR = 'operator'

export interface TenantOptions {
  readonly tenant: string
}

export function withTenant(command: Command): Command {
  return command.option('--tenant <tenant>', 'whose', DEFAULT_TENANT)
}

/** May do everything to one tenant. The history names it `operator`. */
export async function asOperator<T>({ tenant }: TenantOptions, work: (ports: Ports, operator: Caller) => Promise<T>): Promise<T> {
  return withBroker(({ ports }) => work(ports, { name: OPERATOR, tenant, scopes: new Set(SCOPES) }))
}

/** For what belongs to no tenant. */
export async function withBroker<T>(work: (broker: Broker) => Promise<T>): Promise<T> {
  const config = readConfig()
  const absent = absentFile(config)
  // Loaded here and not above, so that --help does not wait for it.
  const { openBroker } = await import('../src/main.ts')
  const broker = await openBroker(config)
  if (absent) remark(`There was no database ${absent}: a new one is made. LATCHSTRING_DATABASE_URL names another.`)
  try {
    return await work(broker)
  } finally {
    await broker.close()
  }
}

/** In another folder than the server's a relative path is another database, and an empty one looks like an answer. */
function absentFile({ database }: Config): string | null {
  return database.kind === 'sqlite' && !existsSync(database.path) ? resolve(database.path) : null
}
