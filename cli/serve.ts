/** `latchstring serve`: the server, from its configuration to its last answer. */

import type { Command } from 'commander'
import { readConfig, withPort } from '../src/config.ts'
import type { Applied } from '../src/core/apply.ts'
import type { Broker } from '../src/main.ts'
import { secretOnce } from './callers.ts'
import { withExamples, withVariables } from './help.ts'
import { freePort } from './port.ts'
import { decoderAdvice } from './runtime-advice.ts'
import { askedToStop } from './stopping.ts'
import { print, remark } from './terminal.ts'

interface Options {
  readonly config?: string
  readonly host?: string
  readonly port?: string
  readonly json?: boolean
}

export function addServe(program: Command): void {
  const command = program
    .command('serve')
    .description('serve the API, and the pages that users meet')
    .option('--config <file>', 'latchstring.yaml, applied before it listens (LATCHSTRING_CONFIG)')
    .option('--host <address>', 'where it listens (LATCHSTRING_HOST)')
    .option('--port <port>', 'where it listens; 0 takes a free one (LATCHSTRING_PORT)')
    .option('--json', 'the line that says where it listens, for programs; the log is JSON anyway')
    .action(run)
  withVariables(
    withExamples(command, {
      'latchstring serve --config latchstring.yaml': 'apply the file, then serve',
      'LATCHSTRING_MASTER_KEY_FILE=/run/secrets/master latchstring serve': 'with the key in a file',
    }),
  )
}

async function run({ json, ...flags }: Options): Promise<void> {
  const stopped = askedToStop()
  const read = readConfig(flags)
  const { openBroker, serve } = await import('../src/main.ts')
  const config = read.port === 0 ? withPort(read, await freePort(read.host)) : read
  const broker = await openBroker(config)
  const server = await begun(broker, async () => {
    tellSecrets(await broker.applySetup())
    return serve(broker, config)
  })

  const { log, publicUrl } = broker.ports
  const advice = decoderAdvice(process.versions.node)
  if (advice) log('warn', advice, { version: process.versions.node })
  const message = `listening on ${server.address}`
  print(
    json
      ? JSON.stringify({ message, address: server.address, public_url: publicUrl })
      : `latchstring ${message} (public URL ${publicUrl})`,
  )

  log('info', 'stopping', { reason: await stopped })
  await server.stop()
  log('info', 'stopped')
}

/** What does not begin is put away. */
async function begun<T>(broker: Broker, begin: () => Promise<T>): Promise<T> {
  try {
    return await begin()
  } catch (error) {
    await broker.close()
    throw error
  }
}

/** On standard error, so that standard output stays the one line; not in the log, which is kept and sent around. */
function tellSecrets(applied: Applied | null): void {
  for (const [clientId, secret] of applied?.generated ?? []) remark(secretOnce(clientId, secret.reveal()))
}
