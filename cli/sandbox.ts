/** `latchstring sandbox`: a third-party provider to practise with, until it is told to stop. */

import type { Command } from 'commander'
import { withExamples } from './help.ts'
import { portOf } from './port.ts'
import { askedToStop } from './stopping.ts'
import { print } from './terminal.ts'

interface Options {
  readonly host: string
  readonly port: number
  readonly json?: boolean
}

const PORT = 4999

export function addSandbox(program: Command): void {
  const command = program
    .command('sandbox')
    .description('a third-party provider that misbehaves on request, for trying things out')
    .option('--host <address>', 'where it listens', '127.0.0.1')
    .option('--port <port>', 'where it listens; 0 takes a free one', portOf, PORT)
    .option('--json', 'for programs')
    .action(run)
  withExamples(command, {
    'latchstring sandbox': 'and paste what it prints into latchstring.yaml',
    'curl localhost:4999/control': 'what it was asked, and how to make it misbehave',
  })
}

async function run({ host, port, json }: Options): Promise<void> {
  const stopped = askedToStop()
  const { startSandbox } = await import('../sandbox/sandbox.ts')
  const { stringify } = await import('yaml')
  const sandbox = await startSandbox({ host, port })
  const setup = { providers: [sandbox.provider()], apps: [sandbox.app()] }
  if (json) print(JSON.stringify({ message: `listening on ${sandbox.url}`, url: sandbox.url, setup }))
  else print(`sandbox listening on ${sandbox.url}\n\n# latchstring.yaml\n${stringify(setup)}`)
  await stopped
  await sandbox.close()
}
