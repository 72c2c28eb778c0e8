/** Everything the demo needs, on free ports and in a folder of its own: a provider, the broker, an app. All of it is gone afterwards. */

import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts'
import type { Config } from '../../src/config.ts'
import { generateSecret } from '../../src/core/apply.ts'
import { Secret } from '../../src/core/secret.ts'
import { type Broker, openBroker, type RunningServer, serve } from '../../src/main.ts'
import { freePort } from '../port.ts'
import { type SampleApp, startSampleApp } from './sample-app.ts'

export interface Stage {
  /** The master key is in memory only; the database and the setup file are here. */
  readonly folder: string
  readonly brokerUrl: string
  readonly sandbox: Sandbox
  readonly sampleApp: SampleApp
  readonly keyCodeRef: string
  /** How the app proves itself to the broker. */
  readonly clientId: string
  readonly clientSecret: string
  close(): Promise<void>
}

const HOST = '127.0.0.1'
const PREFERRED_PORT = 4400
const KEY_CODE_REF = 'sandbox'
const CLIENT_ID = 'sample-app'

export async function openStage(): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'latchstring-demo-'))
  const sweep = (): void => rmSync(folder, { recursive: true, force: true })
  // Also when somebody has no patience for the end.
  process.once('exit', sweep)
  const closers: (() => Promise<void>)[] = []
  const close = async (): Promise<void> => {
    for (const end of closers.splice(0).reverse()) await end()
    process.off('exit', sweep)
    sweep()
  }
  try {
    return { ...(await built(folder, closers)), folder, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function built(folder: string, closers: (() => Promise<void>)[]): Promise<Omit<Stage, 'folder' | 'close'>> {
  const sandbox = await startSandbox({ host: HOST })
  closers.push(() => sandbox.close())

  const clientSecret = generateSecret().reveal()
  const { broker, server } = await served({ folder, clientSecret, masterKey: randomBytes(32).toString('base64') })
  closers.push(() => server.stop())

  const stage = { brokerUrl: broker.ports.publicUrl, keyCodeRef: KEY_CODE_REF, clientId: CLIENT_ID, clientSecret }
  const sampleApp = await startSampleApp({ ...stage, host: HOST })
  closers.push(() => sampleApp.close())

  await writeFile(join(folder, 'latchstring.yaml'), setupOf(sandbox, sampleApp))
  await broker.applySetup()
  return { ...stage, sandbox, sampleApp }
}

/** The port that was free may be taken by the time the broker is built: then another. */
async function served(ground: Ground, preferred = PREFERRED_PORT): Promise<Served> {
  const config = configOn(ground, await freePort(HOST, preferred))
  const broker = await openBroker(config)
  try {
    return { broker, server: await serve(broker, config) }
  } catch (error) {
    await broker.close()
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || preferred === 0) throw error
    return served(ground, 0)
  }
}

interface Ground {
  readonly folder: string
  readonly masterKey: string
  readonly clientSecret: string
}

interface Served {
  readonly broker: Broker
  readonly server: RunningServer
}

/** Nothing of the environment: the demo must not meet anybody's real database. */
function configOn({ folder, masterKey, clientSecret }: Ground, port: number): Config {
  return {
    host: HOST,
    port,
    // Not localhost: somebody else may have that port on [::1].
    publicUrl: `http://${HOST}:${port}`,
    database: { kind: 'sqlite', path: join(folder, 'latchstring.db') },
    journalFolder: join(folder, 'journal'),
    masterKeys: new Secret(masterKey),
    masterKeyFile: null,
    keyServiceCa: null,
    setupFile: join(folder, 'latchstring.yaml'),
    logLevel: 'error',
    workers: 1,
    requestsPerMinute: null,
    httpsProxy: null,
    trustedProxies: [],
    allowedHosts: [],
    failedGuessesPerMinute: 60,
    environment: { SAMPLE_APP_SECRET: clientSecret },
  }
}

function setupOf(sandbox: Sandbox, { callbackUrl }: SampleApp): string {
  const app = sandbox.app({ key_code_ref: KEY_CODE_REF, name: 'Harbour' })
  return stringify({
    providers: [sandbox.provider()],
    apps: [{ ...app, callback_url: callbackUrl, user_binding: 'complete' }],
    callers: [
      {
        client_id: CLIENT_ID,
        client_secret: '${env:SAMPLE_APP_SECRET}',
        scopes: ['read:connected_apps', 'create:connected_apps'],
        owner: 'the demo',
      },
    ],
  })
}
