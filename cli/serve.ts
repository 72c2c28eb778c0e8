/** `latchstring serve`: the server, from its configuration to its last answer. */

import type { Command } from 'commander'
import { type Config, readConfig, withPort } from '../src/config.ts'
import type { Applied } from '../src/core/apply.ts'
import type { Broker } from '../src/main.ts'
import { secretOnce } from './callers.ts'
import { giveBackMemory } from './give-back.ts'
import { withExamples, withVariables } from './help.ts'
import { freePort, heldFor } from './port.ts'
import { decoderAdvice } from './runtime-advice.ts'
import { askedToStop } from './stopping.ts'
import { print, remark } from './terminal.ts'

interface Options {
  readonly config?: string
  readonly host?: string
  readonly port?: string
  readonly workers?: string
  readonly json?: boolean
}

export function addServe(program: Command): void {
  const command = program
    .command('serve')
    .description('serve the API, and the pages that users meet')
    .option('--config <file>', 'latchstring.yaml, applied before it listens (LATCHSTRING_CONFIG)')
    .option('--host <address>', 'where it listens (LATCHSTRING_HOST)')
    .option('--port <port>', 'where it listens; 0 takes a free one (LATCHSTRING_PORT)')
    .option('--workers <n>', 'processes that share the port and the store; 1 (LATCHSTRING_WORKERS)')
    .option('--json', 'the line that says where it listens, for programs; the log is JSON anyway')
    .action(run)
  withVariables(
    withExamples(command, {
      'latchstring serve --config latchstring.yaml': 'apply the file, then serve',
      'latchstring serve --workers 4': 'one for each core',
      'LATCHSTRING_MASTER_KEY_FILE=/run/secrets/master latchstring serve': 'with the key in a file',
    }),
  )
}

async function run({ json, ...flags }: Options): Promise<void> {
  let kill = (): void => {}
  const stopped = askedToStop(() => kill())
  const read = readConfig(flags)
  const { openBroker } = await import('../src/main.ts')
  const config = read.port === 0 ? withPort(read, await freePort(read.host)) : read
  const broker = await openBroker(config)
  const server = await begun(broker, async () => {
    tellSecrets(await broker.applySetup())
    return config.workers === 1 ? alone(broker, config) : together(broker, config)
  })
  ;({ kill } = server)

  const { log, publicUrl } = broker.ports
  const advice = decoderAdvice(process.versions.node)
  if (advice) log('warn', advice, { version: process.versions.node })
  try {
    const address = await Promise.race([server.address, stopped.then(() => null)])
    if (address !== null) announce(address, publicUrl, json)
    giveBackMemory()
    log('info', 'stopping', { reason: await Promise.race([stopped, server.lost]) })
  } catch (error) {
    await server.stop().catch(() => {})
    throw error
  }
  await server.stop()
  log('info', 'stopped')
}

function announce(address: string, publicUrl: string, json = false): void {
  const message = `listening on ${address}`
  print(json ? JSON.stringify({ message, address, public_url: publicUrl }) : `latchstring ${message} (public URL ${publicUrl})`)
}

/** Until it is told to stop. */
interface Serving {
  readonly address: Promise<string>
  /** Rejects when it cannot go on. */
  readonly lost: Promise<never>
  stop(): Promise<void>
  kill(): void
}

async function alone(broker: Broker, config: Config): Promise<Serving> {
  const { serve } = await import('../src/main.ts')
  const { address, stop } = await serve(broker, config)
  return { address: Promise.resolve(address), lost: new Promise(() => {}), stop, kill: () => {} }
}

/** What had to be done once is done; the store is for those who serve. */
async function together(broker: Broker, config: Config): Promise<Serving> {
  const { Primary } = await import('./primary.ts')
  await heldFor(config.host, config.port)
  await broker.close()
  const primary = new Primary(config, broker.ports.log)
  return { address: primary.start(), lost: primary.lost, stop: () => primary.stop(), kill: () => primary.kill() }
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

/** On standard error, so that standard output stays the one line; no line of the log, but whoever keeps the stream keeps it as well. */
function tellSecrets(applied: Applied | null): void {
  for (const [clientId, secret] of applied?.generated ?? []) remark(secretOnce(clientId, secret.reveal()))
}
