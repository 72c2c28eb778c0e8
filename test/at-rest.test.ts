/** What is on the disk gives no secret away: real stores and seals, planted secrets, and a search through every byte. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { attemptRow } from '../src/core/attempt.ts'
import { Secret } from '../src/core/secret.ts'
import { connectionRow, sealCredentials } from '../src/core/vault.ts'
import { loadBrokerKeys } from '../src/seal/broker-keys.ts'
import { createSeal } from '../src/seal/envelope.ts'
import { parseMasterKeys } from '../src/seal/keyring.ts'
import { NOW, sampleApp, sampleAttempt, sampleCaller, sampleConnection } from '../src/store/samples.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'

const folder = mkdtempSync(join(tmpdir(), 'latchstring-at-rest-'))
after(() => rmSync(folder, { recursive: true }))

test('S-46 S-56 no secret stands in the file, its log or a copy of it, in whatever spelling', async () => {
  const masterKey = randomBytes(32).toString('base64')
  const store = await openSqliteStore(join(folder, 'latchstring.db'))
  const seal = createSeal({ masterKeys: parseMasterKeys(masterKey) })
  const planted: Record<string, string> = { masterKey }
  const plant = (name: string) => new Secret((planted[name] = `canary-${name}-${randomBytes(12).toString('hex')}`))

  const attempt = sampleAttempt({ session: 'session-1', stage: 'returned' })
  const row = await seal.create(attemptRow(attempt))
  const state = plant('state')
  const sealedAttempt = {
    ...attempt,
    stateHash: state.digest(),
    sealed: {
      dataKey: row.dataKey,
      codeVerifier: row.seal('code_verifier', plant('codeVerifier')),
      nonce: row.seal('nonce', plant('nonce')),
      answer: row.seal('answer', plant('answer')),
      departure: row.seal('departure', plant('departure')),
    },
  }
  const credentials = {
    kind: 'oauth2',
    accessToken: plant('accessToken'),
    refreshToken: plant('refreshToken'),
    also: { bot: plant('bot') },
    kept: { instance_url: plant('kept').reveal() },
  } as const
  const connection = sampleConnection({ label: 'in clear: a label' })
  const sealed = sealCredentials(await seal.create(connectionRow(connection)), credentials)
  await store.attempts.add(sealedAttempt, [])
  await store.attempts.finish('returned', { ...sealedAttempt, stage: 'connected' }, { ...connection, sealed }, [])

  const appSeal = await seal.create({ tenant: 'acme', table: 'apps', id: 'crm' })
  const app = sampleApp({
    sealed: {
      dataKey: appSeal.dataKey,
      clientSecret: appSeal.seal('client_secret', plant('clientSecret')),
      privateKey: appSeal.seal('private_key', plant('privateKey')),
    },
  })
  const { signing, hashOf } = await loadBrokerKeys(store.records, seal, () => NOW)
  planted['signingKey'] = signing()[0]!.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString().split('\n')[5] ?? ''
  const caller = sampleCaller({ secretHash: hashOf(plant('callerSecret')) })
  await store.records.change(
    [
      { put: 'app', app },
      { put: 'caller', caller },
    ],
    [],
  )

  const files = () => readdirSync(folder).map((name) => ({ name, bytes: readFileSync(join(folder, name)) }))
  const open = files()
  assert.deepEqual(open.map(({ name }) => name).sort(), ['latchstring.db', 'latchstring.db-shm', 'latchstring.db-wal'])
  assert(
    open.some(({ bytes }) => bytes.includes('in clear: a label')),
    'what is searched is what was written',
  )
  const id = seal.masterKeys[0]?.id ?? assert.fail('no master key')
  assert(
    open.some(({ bytes }) => bytes.includes(Buffer.from(id, 'hex'))),
    'the key that it was sealed under is named, and no more of it is there',
  )
  await store.close()

  assert.equal(Object.keys(planted).length, 14)
  for (const { name, bytes } of [...open, ...files()]) {
    for (const [secret, text] of Object.entries(planted)) {
      assert(text.length > 30, secret)
      for (const spelling of spellings(text)) assert(!bytes.includes(spelling), `${secret} stands in ${name}`)
    }
  }
})

function spellings(text: string): Buffer[] {
  const bytes = Buffer.from(text)
  const texts = [text, bytes.toString('hex'), bytes.toString('base64').slice(0, -4), encodeURIComponent(text)]
  return [...texts.map((spelled) => Buffer.from(spelled)), Buffer.from(text, 'utf16le'), Buffer.from(text, 'base64')]
}
