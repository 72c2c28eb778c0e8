/** `latchstring apply`: makes providers, apps and callers as the file says, and tells what that changed. */

import type { Command } from 'commander'
import { readConfig } from '../src/config.ts'
import type { Applied } from '../src/core/apply.ts'
import { secretOnce } from './callers.ts'
import { UsageError } from './failure.ts'
import { withExamples } from './help.ts'
import { print, printJson, styled, table } from './terminal.ts'

interface Options {
  readonly file?: string
  readonly dryRun?: boolean
  readonly allowHostChange?: string[]
  readonly allowClientChange?: string[]
  readonly json?: boolean
}

export function addApply(program: Command): void {
  const command = program
    .command('apply')
    .description(
      'make providers, apps and callers as a file says; all of it or nothing, and twice is fine; what is not in it stays as it is',
    )
    .option('-f, --file <file>', 'latchstring.yaml; the one of LATCHSTRING_CONFIG when left out')
    .option('--dry-run', 'only tell what would change')
    .option('--allow-host-change <provider...>', 'the connections of these may be sent to the new hosts that the file names')
    .option(
      '--allow-client-change <key_code_ref...>',
      'these apps may be another client, which loses the connections that they have',
    )
    .option('--json', 'for programs')
    .action(applyFile)
  withExamples(command, {
    'latchstring apply -f latchstring.yaml --dry-run': 'see what would change',
    'latchstring apply -f latchstring.yaml': 'change it; a running server notices within a second',
  })
}

async function applyFile({ file, dryRun = false, allowHostChange, allowClientChange, json }: Options): Promise<void> {
  const config = readConfig({ config: file })
  const { openBroker } = await import('../src/main.ts')
  const broker = await openBroker(config)
  let applied: Applied | null
  try {
    applied = await broker.applySetup(undefined, {
      dryRun,
      ...(allowHostChange && { allowHostChange }),
      ...(allowClientChange && { allowClientChange }),
    })
  } finally {
    await broker.close()
  }
  if (!applied) throw new UsageError('say which file: latchstring apply -f latchstring.yaml')
  if (json) return printJson(asJson(applied, dryRun))
  tell(applied, dryRun)
}

function tell({ changes, generated }: Applied, dryRun: boolean): void {
  const changed = changes.filter(({ change }) => change !== 'unchanged')
  if (changed.length > 0) {
    print(
      table(changed, [
        { title: 'KIND', cell: ({ kind }) => kind },
        { title: 'ID', cell: ({ id }) => id },
        { title: 'TENANT', cell: ({ tenant }) => (tenant === '*' ? null : tenant) },
        { title: 'CHANGE', cell: ({ change }) => change },
        { title: 'FIELDS', cell: ({ fields }) => fields.join(' ') },
      ]),
    )
  }
  const unchanged = changes.length - changed.length
  const verb = dryRun ? 'would change' : 'changed'
  print(`${changed.length === 0 ? 'nothing' : changed.length} ${verb}, ${unchanged} unchanged`)
  for (const [clientId, secret] of generated) print(styled('bold', secretOnce(clientId, secret.reveal())))
}

function asJson({ changes, generated }: Applied, dryRun: boolean) {
  return {
    dry_run: dryRun,
    changes: changes.map((change) => {
      const secret = change.kind === 'caller' ? generated.get(change.id) : undefined
      return { ...change, ...(secret && { client_secret: secret.reveal() }) }
    }),
  }
}
