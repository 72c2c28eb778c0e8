/** `latchstring migrate`: moves a broker's data from SQLite to PostgreSQL. */

import type { Command } from 'commander'
import { databaseOf } from '../src/config.ts'
import type { Transferred } from '../src/store/transfer.ts'
import { UsageError } from './failure.ts'
import { withExamples } from './help.ts'
import { print, printJson, remark, table } from './terminal.ts'

interface Options {
  readonly from: string
  readonly to?: string
  readonly abandon?: boolean
  readonly json?: boolean
}

export function addMigrate(program: Command): void {
  const command = program
    .command('migrate')
    .description('move everything from SQLite to PostgreSQL and compare it row by row')
    .requiredOption('--from <url>', 'sqlite:PATH; a broker on it goes on handing out tokens, and writes nothing from then on')
    .option('--to <url>', 'postgres://…, a database with nothing in it; PGPASSWORD keeps its password off the command line')
    .option('--abandon', 'instead: let the file be written to again. Never once a broker has run on the new database')
    .option('--json', 'for programs')
    .action(migrate)
  withExamples(command, {
    'latchstring migrate --from sqlite:data/latchstring.db --to postgres://latchstring@db/latchstring':
      'killed on its way, run it again: it goes on, and ends the same',
  })
}

async function migrate({ from, to, abandon = false, json }: Options): Promise<void> {
  const source = named('--from', from)
  if (abandon) {
    if (to !== undefined) throw new UsageError('--abandon takes --from alone')
    if (source.kind !== 'sqlite') throw new UsageError('--from is sqlite:PATH')
    const { abandonTransfer } = await import('../src/store/transfer.ts')
    const abandoned = abandonTransfer(source.path, remark)
    if (json) return printJson({ abandoned })
    return print(abandoned ? `${from} can be written to again` : `nothing to do: ${from} was not moved`)
  }
  if (to === undefined) throw new UsageError('--to is missing: postgres://…, a database with nothing in it')
  const target = named('--to', to)
  if (source.kind !== 'sqlite' || target.kind !== 'postgres') throw new UsageError('it goes from sqlite:PATH to postgres://…')
  const { transfer } = await import('../src/store/transfer.ts')
  const progress = (name: string, rows: number, of: number) => remark(`${name}: ${rows} of ${of}`)
  const done = await transfer({ from: source.path, to: target.url, progress, tell: remark })
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
  print(
    'all of it is there; set LATCHSTRING_DATABASE_URL to the new database, keep the master key and the journal folder, and restart the broker',
  )
}

function named(option: string, url: string): ReturnType<typeof databaseOf> {
  try {
    return databaseOf(url)
  } catch (error) {
    throw new UsageError(`${option} ${(error as Error).message}`)
  }
}
