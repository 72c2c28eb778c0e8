/** `latchstring import`: takes over connections that were made elsewhere. */

import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import { readImport } from '../src/catalog/import-file.ts'
import { type ImportResult, importConnections } from '../src/core/import.ts'
import { FAILED, UsageError } from './failure.ts'
import { withExamples } from './help.ts'
import { linesIn } from './lines.ts'
import { asOperator, type TenantOptions, withTenant } from './operator.ts'
import { print, printJson, remark } from './terminal.ts'

interface Options extends TenantOptions {
  readonly dryRun?: boolean
  readonly json?: boolean
}

const STANDARD_INPUT = '-'
/** Between two lines of progress. */
const TOLD_EVERY = 10_000
/** So many lines are named. */
const NAMED_MAX = 20

export function addImport(program: Command): void {
  const command = withTenant(
    program
      .command('import')
      .description('take over connections that were made elsewhere, tokens and all: their users are not asked again')
      .argument('<file>', 'one JSON object on each line, docs/importing.md says which; - is standard input'),
  )
    .option('--dry-run', 'only check all of it')
    .option('--json', 'for programs')
    .action(importFile)
  withExamples(command, {
    'latchstring import connections.jsonl --dry-run': 'every mistake, by its line; nothing is written',
    'latchstring import connections.jsonl': 'stopped on its way, or once more: it goes on, and nothing is there twice',
  })
}

async function importFile(file: string, { dryRun = false, json, ...options }: Options): Promise<void> {
  const name = file === STANDARD_INPUT ? 'standard input' : file
  const { lines, stays } = await linesOf(file)
  const result = await asOperator(options, async (ports, operator): Promise<ImportResult & { readonly lines: number }> => {
    const apps = new Set((await ports.store.records.apps(options.tenant)).map(({ keyCodeRef }) => keyCodeRef))
    // All of it is checked before any of it is written.
    let count = 0
    for await (const _ of readImport(lines(), name, apps)) count += 1
    if (count === 0) throw new UsageError(`${name} has no connection in it`)
    if (dryRun) return { lines: count, imported: 0, present: 0, taken: [] }
    const progress = ({ imported, present, taken }: ImportResult): void => {
      const done = imported + present + taken.length
      if (done % TOLD_EVERY === 0) remark(`${done} of ${count}`)
    }
    const result = await importConnections(ports, operator, readImport(lines(), name, apps), progress)
    const read = result.imported + result.present + result.taken.length
    if (read !== count)
      throw new Error(`${name} was changed meanwhile: ${count} lines were checked, and ${read} read after that; import it again`)
    return { lines: count, ...result }
  })
  if (json) printJson({ dry_run: dryRun, ...result })
  else tell(result, stays ? name : null, dryRun)
  if (result.taken.length > 0) process.exitCode = FAILED
}

function tell(
  { lines, imported, present, taken }: ImportResult & { readonly lines: number },
  file: string | null,
  dryRun: boolean,
): void {
  if (dryRun) return print(`${lines} could be imported; nothing was written`)
  print(`${imported} imported, ${present} there already`)
  if (taken.length > 0) {
    const named = taken.slice(0, NAMED_MAX).join(', ')
    const more = taken.length > NAMED_MAX ? ` and ${taken.length - NAMED_MAX} more` : ''
    remark(
      `${taken.length} not imported: their session_id, or their token, is that of a connection of another owner or app. Lines ${named}${more}`,
    )
  }
  if (file !== null) remark(`${file} still holds the tokens: delete it once nothing else needs it.`)
}

interface Lines {
  /** To be read more than once. */
  readonly lines: () => AsyncIterable<string> | Iterable<string>
  /** They are still there afterwards. */
  readonly stays: boolean
}

/** A file need not fit into memory. What comes through a pipe, whatever its name, comes only once. */
async function linesOf(file: string): Promise<Lines> {
  if (file === STANDARD_INPUT) return inMemory(process.stdin)
  // Said before the database is opened.
  const handle = await open(file).catch(cannotBeRead(file))
  if (!(await handle.stat()).isFile()) return inMemory(handle.createReadStream()).catch(cannotBeRead(file))
  await handle.close()
  return { lines: () => linesIn(createReadStream(file, 'utf8')), stays: true }
}

async function inMemory(stream: NodeJS.ReadableStream): Promise<Lines> {
  const lines = (await text(stream)).split('\n')
  return { lines: () => lines, stays: false }
}

function cannotBeRead(file: string): (error: unknown) => never {
  return (error) => {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw new UsageError(`${file} ${missing ? 'is not there' : `cannot be read: ${(error as Error).message}`}`)
  }
}
