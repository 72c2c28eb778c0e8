/** Which commands there are. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { addApply } from './apply.ts'
import { addApps } from './apps.ts'
import { addAudit } from './audit.ts'
import { addBench } from './bench.ts'
import { addCallers } from './callers.ts'
import { addConnections } from './connections.ts'
import { addDemo } from './demo.ts'
import { addDoctor } from './doctor.ts'
import { addEvents } from './events.ts'
import { UsageError } from './failure.ts'
import { withExamples, withVariables } from './help.ts'
import { addImport } from './import.ts'
import { addIncident } from './incident.ts'
import { addIssuers } from './issuers.ts'
import { addKeys } from './keys.ts'
import { addMigrate } from './migrate.ts'
import { addOwner } from './owner.ts'
import { addProviders } from './providers.ts'
import { addSandbox } from './sandbox.ts'
import { addServe } from './serve.ts'
import { addWebhooks } from './webhooks.ts'

interface Manifest {
  readonly description: string
  readonly version: string
}

export function createProgram(): Command {
  const manifest = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8')) as Manifest
  const program = new Command('latchstring')
    .description(manifest.description)
    .version(manifest.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this')
    .helpCommand('help [command]', 'the same as --help')
    .showHelpAfterError('(--help shows what there is)')
    // Commander would end the process itself; the exit codes are ours.
    .exitOverride()
    .hook('preAction', (_, command) => assertNothingEmpty(command))
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'latchstring: ')) })

  for (const add of [
    addServe,
    addDemo,
    addApply,
    addDoctor,
    addProviders,
    addApps,
    addConnections,
    addImport,
    addEvents,
    addWebhooks,
    addCallers,
    addIncident,
    addKeys,
    addAudit,
    addOwner,
    addIssuers,
    addMigrate,
    addSandbox,
    addBench,
  ])
    add(program)

  return withVariables(
    withExamples(program, {
      'latchstring demo': 'see one whole connection, with nothing to set up',
      'latchstring apply -f latchstring.yaml': 'make providers, apps and callers so',
      'latchstring serve': 'serve them',
      'latchstring connections list --user u1': 'whose connections there are',
    }),
  )
}

/** A variable that a script did not set must not mean everybody. */
function assertNothingEmpty(command: Command): void {
  for (const option of command.options) {
    const given = [command.getOptionValue(option.attributeName())].flat()
    if (given.includes('')) throw new UsageError(`${option.long} is empty: say what, or leave it out`)
  }
}
