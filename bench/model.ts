/** What a number of connections needs, from what one read, one renewal and one row cost. Arithmetic; `docs/scaling.md` explains it. */

import { plain, type Run } from './figures.ts'

/** What the document assumes, and tells how to change. */
const IN_USE = 0.1
const READS_AN_HOUR = 6
const RENEWALS_AN_HOUR = 1
/** Half is left for peaks, and for a machine that is lost. */
const UTILISATION = 0.5

const SIZES = [
  { what: '10 million', connections: 10e6 },
  { what: '1 billion', connections: 1e9 },
] as const

export interface Costs {
  readonly readMicros: number
  readonly readDatabaseMicros: number
  readonly renewalMicros: number
  readonly renewalDatabaseMicros: number
  readonly bytes: number
}

export interface Need {
  readonly readsPerSecond: number
  readonly renewalsPerSecond: number
  readonly brokerCores: number
  readonly databaseCores: number
  readonly terabytes: number
}

export function needOf(connections: number, costs: Costs): Need {
  const readsPerSecond = (connections * IN_USE * READS_AN_HOUR) / 3600
  const renewalsPerSecond = (connections * IN_USE * RENEWALS_AN_HOUR) / 3600
  const cores = (read: number, renewal: number): number =>
    (readsPerSecond * read + renewalsPerSecond * renewal) / 1e6 / UTILISATION
  return {
    readsPerSecond,
    renewalsPerSecond,
    brokerCores: cores(costs.readMicros, costs.renewalMicros),
    databaseCores: cores(costs.readDatabaseMicros, costs.renewalDatabaseMicros),
    terabytes: (connections * costs.bytes) / 1e12,
  }
}

export function model({ at, machine, figures }: Run): string {
  const value = (id: string, name?: string): number => {
    const figure = figures.find((one) => one.id === id)
    return (name === undefined ? figure?.value : figure?.more?.[name]) ?? Number.NaN
  }
  const cost = (what: string, sqlite: number, postgres: number, database: number): string =>
    `| ${what} | ${plain(sqlite)} | ${plain(postgres)} | ${plain(database)} |`
  const costs: Costs = {
    readMicros: value('token.postgresql.64', 'processorMicros'),
    readDatabaseMicros: value('token.postgresql.64', 'databaseMicros'),
    renewalMicros: value('renewals.postgresql', 'processorMicros'),
    renewalDatabaseMicros: value('renewals.postgresql', 'databaseMicros'),
    bytes: value('bytes.postgresql'),
  }
  const needs = SIZES.map(({ what, connections }) => ({ what, ...needOf(connections, costs) }))
  const need = (what: string, of: (one: Need) => number): string =>
    `| ${what} | ${needs.map((one) => plain(of(one))).join(' | ')} |`
  return `Measured on ${at.slice(0, 10)}: ${machine}.

| | broker on SQLite | broker on PostgreSQL | PostgreSQL itself |
| --- | --- | --- | --- |
${cost('processor of a read, µs', value('token.sqlite.64', 'processorMicros'), costs.readMicros, costs.readDatabaseMicros)}
${cost('processor of a renewal, µs', value('renewals.sqlite', 'processorMicros'), costs.renewalMicros, costs.renewalDatabaseMicros)}
| a connection on disk, bytes | ${plain(value('bytes.sqlite'))} | | ${plain(costs.bytes)} |

Arithmetic from these, on PostgreSQL, with the assumptions below:

| connections | ${SIZES.map(({ what }) => what).join(' | ')} |
| --- | ${SIZES.map(() => '---').join(' | ')} |
${need('reads a second', (one) => one.readsPerSecond)}
${need('renewals a second', (one) => one.renewalsPerSecond)}
${need('cores for brokers', (one) => one.brokerCores)}
${need('cores for PostgreSQL', (one) => one.databaseCores)}
${need('disk of PostgreSQL, TB, one copy', (one) => one.terabytes)}`
}
