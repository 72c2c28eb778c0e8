/**
 * npm run faults: kills brokers at random instants around the provider's answer, and tells what became of the refresh tokens.
 *
 *   npm run faults                                      300 kills
 *   npm run faults -- --kills 1000 --processes 4        more of them, with four brokers on one file
 *   npm run faults -- --window none                     one kind of provider; may be repeated
 *   npm run faults -- --store postgres                  brokers on a PostgreSQL that is started for it
 *   npm run faults -- --cut                             nobody is killed, only the line to the provider breaks
 *
 * Ends with 1 when a promise was broken.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { numberedRows, proofs } from '../test/coverage.ts'
import { killRounds } from '../test/faults/kill-rounds.ts'
import { killTable } from '../test/faults/kill-table.ts'
import type { Tally, Window } from '../test/faults/verdict.ts'
import { startPostgres } from '../test/postgres.ts'
import { filesNamed } from './docs.ts'

const FAULTS = 'test/faults/README.md'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '300' },
    cut: { type: 'boolean', default: false },
    processes: { type: 'string', default: '1' },
    connections: { type: 'string', default: '8' },
    store: { type: 'string', default: 'sqlite' },
    window: { type: 'string', multiple: true, default: ['30', 'until_next_use', 'none'] },
  },
})
const windows = values.window.map(windowOf)
const kills = wholeNumber('kills')
const processes = wholeNumber('processes')
const connections = wholeNumber('connections')
if (values.store !== 'sqlite' && values.store !== 'postgres')
  throw new RangeError(`--store is sqlite or postgres, not ${values.store}`)
const server = values.store === 'postgres' ? await startPostgres() : null

const done = new Map<Window, Tally>()
const said = new Map<Window, number>()
const started = performance.now()
const tallies = await Promise.all(
  windows.map(async (window, i) =>
    killRounds({
      window,
      ...(server && { database: await server.fresh() }),
      // What does not divide evenly goes to the first.
      kills: Math.floor(kills / windows.length) + (i < kills % windows.length ? 1 : 0),
      ...{ processes, connections, fault: values.cut ? 'cut' : 'kill' },
      onKill: (tally) => tell(done.set(window, tally)),
    }),
  ),
)

await server?.stop()
console.log(proofs(numberedRows(readFileSync(join(import.meta.dirname, '..', FAULTS), 'utf8'), 'F'), filesNamed('.ts'), 'faults'))
console.log(killTable(tallies))
const broken = tallies.flatMap((tally) => tally.broken.map((what) => `replay window ${tally.window}: ${what}`))
if (broken.length > 0)
  console.log(`\n${broken.length} times a promise was broken. The first of them:\n  ${broken.slice(0, 10).join('\n  ')}`)
process.exitCode = broken.length === 0 ? 0 : 1

function tell(so: ReadonlyMap<Window, Tally>): void {
  const all = [...so.values()]
  const sum = (of: (tally: Tally) => number): number => all.reduce((total, tally) => total + of(tally), 0)
  const struck = sum((tally) => tally.kills)
  for (const { window, broken } of all)
    for (const what of broken.slice(said.get(window) ?? 0)) console.error(`broken, window ${window}: ${what}`)
  for (const { window, broken } of all) said.set(window, broken.length)
  if (struck % 10 !== 0) return
  const seconds = Math.round((performance.now() - started) / 1000)
  console.error(`${struck} of ${kills} kills, ${seconds} s, promises broken: ${sum((tally) => tally.broken.length)}`)
}

function windowOf(text: string): Window {
  if (text === 'none' || text === 'until_next_use') return text
  if (/^\d+$/.test(text)) return Number(text)
  throw new RangeError(`--window is none, until_next_use or a number of seconds, not ${text}`)
}

function wholeNumber(name: 'kills' | 'processes' | 'connections'): number {
  const number = Number(values[name])
  if (!Number.isInteger(number) || number < 1) throw new RangeError(`--${name} must be a whole number from 1`)
  return number
}
