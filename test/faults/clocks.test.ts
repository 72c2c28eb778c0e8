/** Brokers on machines whose clocks are not the same. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from '../../cli/port.ts'
import { startSandbox } from '../../sandbox/sandbox.ts'
import { postgres } from '../postgres.ts'
import { BrokerProcess } from './broker-process.ts'
import { connect, login, setupFor } from './over-http.ts'

const MINUTE = 60_000

test('F-41 F-09 of two brokers whose clocks are minutes apart, neither takes the renewal of the other for over', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'latchstring-clocks-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const sandbox = await startSandbox({ replay_window: 'none', auto_approve: true })
  t.after(() => sandbox.close())
  const setupFile = join(folder, 'latchstring.yaml')
  await writeFile(setupFile, setupFor(sandbox, `${sandbox.url}/token`))
  const shared = {
    LATCHSTRING_PUBLIC_URL: 'http://127.0.0.1:9',
    LATCHSTRING_DATABASE_URL: await (await postgres()).fresh(),
    LATCHSTRING_MASTER_KEY: randomBytes(32).toString('base64'),
    FAULTS_CLOCK_IS_WRONG: 'yes',
  }
  const start = async (aheadMs: number): Promise<BrokerProcess> => {
    const port = String(await freePort('127.0.0.1'))
    const variables = { ...shared, LATCHSTRING_PORT: port, LATCHSTRING_JOURNAL_DIR: join(folder, port) }
    const broker = await BrokerProcess.start(setupFile, variables, aheadMs)
    t.after(() => broker.kill())
    return broker
  }
  const brokers = [await start(0), await start(2 * MINUTE), await start(-2 * MINUTE)] as const
  const bearer = await login(brokers[1])
  sandbox.control.script('token', { edit: { set: { expires_in: 1 } } })
  sandbox.control.script('refresh', { hold: true })
  const session = await connect(brokers[2], bearer)
  const token = async (broker: BrokerProcess): Promise<unknown> => {
    const { status, text } = await broker.ask(`/api/v1/connected_apps/token?session_id=${session}`, { bearer })
    assert.equal(status, 200, text)
    return (JSON.parse(text) as { access_token: string }).access_token
  }
  const renewing = async (broker: BrokerProcess): Promise<void> => {
    while (!/^latchstring_renewals_running 1$/m.test((await broker.ask('/metrics')).text)) await pause(5)
  }

  // By then the token has ended, so all three wait for the new one.
  await pause(1500)
  const asked = [token(brokers[0])]
  await sandbox.control.waitFor(({ endpoint }) => endpoint === 'refresh', { timeout_ms: 20_000 })
  const others = [brokers[1], brokers[2]]
  asked.push(...others.map(token))
  await Promise.all(others.map(renewing))
  sandbox.control.release()
  const [renewed, ...sameForOthers] = await Promise.all(asked)
  assert.deepEqual(sameForOthers, [renewed, renewed])
  assert.equal(sandbox.control.count('refresh'), 1)
})
