/** `latchstring migrate`: moves a stopped broker's data from SQLite to PostgreSQL. */

import type { Command } from 'commander'
import { databaseOf } from '../src/config.ts'
import type { Transferred } from '../src/store/transfer.ts'
import { UsageError } from './failure.ts'
import { withExamples } from './help.ts'
import { print, printJson, remark, table } from './terminal.ts'

interface Options {
  readonly from: string
  readonly to: string
  readonly json?: boolean
}

export function addMigrate(program: Command): void {
  const command = program
    .command('migrate')
    .description('move everything from SQLite to PostgreSQL and compare it row by row; stop the broker first')
    .requiredOption('--from <url>', 'sqlite:PATH; it is left as it is')
    .requiredOption(
      '--to <url>',
      'postgres://…, a database with nothing in it; PGPASSWORD keeps its password off the command line',
    )
    .option('--json', 'for programs')
    .action(migrate)
  withExamples(command, {
    'latchstring migrate --from sqlite:data/latchstring.db --to postgres://latchstring@db/latchstring':
      'killed on its way, run it again: it goes on, and ends the same',
  })
}

async function migrate({ from, to, json }: Options): Promise<void> {
  const [source, target] = [named('--from', from), named('--to', to)]
  if (source.kind !== 'sqlite' || target.kind !== 'postgres') throw new UsageError('it goes from sqlite:PATH to postgres://…')
  const { transfer } = await import('../src/store/transfer.ts')
  const progress = (name: string, rows: number, of: number) => remark(`${name}: ${rows} of ${of}`)
  const done = await transfer({ from: source.path, to: target.url, progress })
  const tables: readonly Transferred[] = done === 'done before' ? [] : done
  if (json) return printJson({ moved: done !== 'done before', tables })
  if (done === 'done before') return print('nothing to do: this file was moved there before')
  print(
    table(tables, [
      { title: 'TABLE', cell: (one) => one.table },
      { title: 'ROWS', cell: ({ rows }) => String(rows) },
      { title: 'SHA-256 ON BOTH SIDES', cell: ({ digest }) => digest },
    ]),
  )
  print('all of it is there; set LATCHSTRING_DATABASE_URL to the new database, keep the master key, and start the broker')
}

function named(option: string, url: string): ReturnType<typeof databaseOf> {
  try {
    return databaseOf(url)
  } catch (error) {
    throw new UsageError(`${option} ${(error as Error).message}`)
  }
}
