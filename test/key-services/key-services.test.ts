/** Master keys in key services: bound to the row, let in as each service's own tools are, refused in words that help, and never used past their time. */

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, type TestContext, test } from 'node:test'
import type { Row, Seal } from '../../src/core/ports.ts'
import { Secret } from '../../src/core/secret.ts'
import { createNet } from '../../src/net/fetch.ts'
import { awsKmsKey } from '../../src/seal/aws-kms.ts'
import { KEPT_MS } from '../../src/seal/branch-keys.ts'
import { createSeal } from '../../src/seal/envelope.ts'
import { gcpKmsKey } from '../../src/seal/gcp-kms.ts'
import type { KeyServiceParts } from '../../src/seal/key-service.ts'
import { parseMasterKeys } from '../../src/seal/keyring.ts'
import { transitKey } from '../../src/seal/transit.ts'
import { ARN, awsFake, type Fake, GCP_KEY, gcpFake, type Order, transitFake } from './fake.ts'

const ROW: Row = { tenant: 'acme', table: 'connections', id: 'session-1' }
const DENIED = { name: 'BrokerError', code: 'INTEGRITY_FAILURE' }
const folder = mkdtempSync(join(tmpdir(), 'latchstring-key-services-'))
after(() => rmSync(folder, { recursive: true }))
const net = createNet()
after(() => net.close())

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

interface Sealing {
  readonly seal: Seal
  readonly clock: { now: number }
}

function sealing({ reference, environment }: Pick<Fake, 'reference' | 'environment'>): Sealing {
  const clock = { now: Date.now() }
  const parts: KeyServiceParts = { net, environment, now: () => clock.now }
  const services = { 'aws-kms': awsKmsKey, 'gcp-kms': gcpKmsKey, transit: transitKey } as const
  const masterKeys = parseMasterKeys(reference, (scheme, name) => services[scheme as 'transit'](name, parts))
  return { seal: createSeal({ masterKeys, now: () => clock.now }), clock }
}

async function running(t: TestContext, started: Promise<Fake>): Promise<Fake> {
  const fake = await started
  t.after(() => fake[Symbol.asyncDispose]())
  return fake
}

const { privateKey, publicKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})

function serviceAccount(url: string, key = privateKey): string {
  const account = { type: 'service_account', private_key_id: 'the-kid', private_key: key }
  return file(
    'account.json',
    JSON.stringify({ ...account, client_email: 'broker@acme.iam.gserviceaccount.com', token_uri: `${url}/token` }),
  )
}

const gcpByMachine = () => gcpFake((url) => ({ GCE_METADATA_HOST: new URL(url).host }))

const KINDS = {
  'AWS KMS': {
    start: awsFake,
    codes: { disabled: /DisabledException/, denied: /AccessDeniedException/, broken: /KMSInternalException/ },
  },
  'Google Cloud KMS': {
    start: gcpByMachine,
    codes: { disabled: /FAILED_PRECONDITION/, denied: /PERMISSION_DENIED/, broken: /http_502/ },
  },
  Transit: { start: transitFake, codes: { disabled: /http_400/, denied: /http_403/, broken: /http_503/ } },
} as const

for (const [name, { start, codes }] of Object.entries(KINDS)) {
  describe(name, () => {
    test('what it sealed opens after a restart, and the row holds nothing of the key', async (t) => {
      const fake = await running(t, start())
      const { seal } = sealing(fake)
      const here = await seal.create(ROW)
      const sealed = here.seal('access_token', new Secret('gho_1'))
      assert.equal(here.dataKey[0], 2)
      assert.equal(seal.masterKeyOf(here.dataKey), seal.masterKeys[0]?.id)
      assert.deepEqual(seal.masterKeys, [{ id: seal.masterKeys[0]?.id, service: fake.reference, role: 'primary' }])
      const there = await sealing(fake).seal.load(ROW, Uint8Array.from(here.dataKey))
      assert.equal(there.open('access_token', sealed).reveal(), 'gho_1')
      assert.deepEqual(
        fake.done.filter((done) => done !== 'login'),
        ['encrypt', 'decrypt'],
      )
    })

    test('S-48 a data key of another row, tenant or table does not open, nor does one with a bit changed', async (t) => {
      const fake = await running(t, start())
      const { dataKey } = await sealing(fake).seal.create(ROW)
      const { seal } = sealing(fake)
      for (const elsewhere of [{ ...ROW, id: 'session-2' }, { ...ROW, tenant: 'other' }, { ...ROW, table: 'apps' } as const])
        await assert.rejects(async () => seal.load(elsewhere, dataKey), DENIED)
      // Inside of what the branch key encrypted, and of what the service did, as text or not.
      for (const at of [dataKey.length - 12, dataKey.length - 60 - 12]) {
        const changed = Uint8Array.from(dataKey)
        changed[at] = changed[at] === 65 ? 66 : 65
        await assert.rejects(async () => seal.load(ROW, changed), DENIED)
      }
      for (const length of [9, 10, 11, 40, dataKey.length - 60, dataKey.length - 1])
        await assert.rejects(async () => seal.load(ROW, dataKey.subarray(0, length)), DENIED)
    })

    for (const order of ['off', 'disabled', 'denied', 'throttled', 'broken'] satisfies Order[]) {
      test(`S-54 ${order}: nothing is sealed or opened, the error is typed, and it works again without a restart`, async (t) => {
        const fake = await running(t, start())
        const { dataKey } = await sealing(fake).seal.create(ROW)
        const { seal } = sealing(fake)
        fake.order = order
        const unavailable = { code: 'KEY_SERVICE_UNAVAILABLE', retryAfterMs: 5000 }
        await assert.rejects(async () => seal.load(ROW, dataKey), unavailable)
        await assert.rejects(seal.create(ROW), unavailable)
        if (order in codes) await assert.rejects(async () => seal.load(ROW, dataKey), codes[order as keyof typeof codes])
        fake.order = 'well'
        await seal.load(ROW, dataKey)
        await seal.create(ROW)
      })
    }

    test('S-54 an unwrapped data key is used for five minutes without asking, and not a moment longer', async (t) => {
      const fake = await running(t, start())
      const { seal, clock } = sealing(fake)
      const { dataKey } = await seal.create(ROW)
      fake.order = 'disabled'
      clock.now += KEPT_MS - 1
      await seal.load(ROW, dataKey)
      clock.now += 1
      await assert.rejects(async () => seal.load(ROW, dataKey), { code: 'KEY_SERVICE_UNAVAILABLE' })
      clock.now -= KEPT_MS / 2
      await assert.rejects(
        async () => seal.load(ROW, dataKey),
        { code: 'KEY_SERVICE_UNAVAILABLE' },
        'not even when the clock goes back',
      )
      fake.order = 'well'
      await seal.load(ROW, dataKey)
    })

    test('the rows of a tenant, new ones and those of before, cost one question', async (t) => {
      const fake = await running(t, start())
      const rows = Array.from({ length: 20 }, (_, i) => ({ ...ROW, id: `session-${i}` }))
      const { seal } = sealing(fake)
      const made = await Promise.all(rows.map((row) => seal.create(row)))
      const sealed = made.map((one, i) => one.seal('access_token', new Secret(`gho_${i}`)))
      const elsewhere = sealing(fake).seal
      const loaded = await Promise.all(rows.map(async (row, i) => elsewhere.load(row, made[i]!.dataKey)))
      loaded.forEach((one, i) => assert.equal(one.open('access_token', sealed[i]!).reveal(), `gho_${i}`))
      assert.deepEqual(
        fake.done.filter((done) => done !== 'login'),
        ['encrypt', 'decrypt'],
      )
    })
  })
}

describe('who we say we are', () => {
  const sealsOnce = async (t: TestContext, started: Promise<Fake>) => {
    const fake = await running(t, started)
    const { seal, clock } = sealing(fake)
    // Each tenant has a branch key of its own, which the service is asked for.
    await seal.create(ROW)
    await seal.create({ ...ROW, tenant: 'other' })
    return { fake, clock, seal }
  }
  const refused = async (t: TestContext, started: Promise<Fake>, why: RegExp) => {
    const fake = await running(t, started)
    const { seal } = sealing(fake)
    await assert.rejects(seal.create(ROW), (error: Error & { code: string }) => {
      assert.equal(error.code, 'KEY_SERVICE_UNAVAILABLE')
      assert.match(error.message, why)
      return true
    })
  }

  test('AWS: a web identity, the container and the machine are asked once until what they gave ends', async (t) => {
    const identity = file('identity', 'the-identity\n')
    const sources = [
      (url: string) => ({
        AWS_WEB_IDENTITY_TOKEN_FILE: identity,
        AWS_ROLE_ARN: 'arn:aws:iam::111122223333:role/broker',
        AWS_ENDPOINT_URL_STS: `${url}/sts`,
      }),
      (url: string) => ({
        AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/container`,
        AWS_CONTAINER_AUTHORIZATION_TOKEN: 'the-container-token',
      }),
      (url: string) => ({
        AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/container`,
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file('token', 'the-container-token'),
      }),
      (url: string) => ({ AWS_EC2_METADATA_SERVICE_ENDPOINT: `${url}/` }),
    ]
    for (const source of sources) {
      const { fake, clock, seal } = await sealsOnce(t, awsFake(source))
      assert.deepEqual(fake.done, ['login', 'encrypt', 'encrypt'])
      clock.now += 3_600_000
      await seal.create({ ...ROW, tenant: 'third' })
      assert.deepEqual(fake.done.slice(3), ['login', 'encrypt'])
    }
  })

  test('AWS: a wrong secret, a wrong token and nothing at all are refused', async (t) => {
    const wrong = {
      AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'wrong',
      AWS_SESSION_TOKEN: 'the-session-token',
    }
    await refused(
      t,
      awsFake(() => wrong),
      /InvalidSignatureException/,
    )
    await refused(
      t,
      awsFake((url) => ({ AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/container` })),
      /the container answered 403/,
    )
    await refused(
      t,
      awsFake(() => ({ AWS_EC2_METADATA_DISABLED: 'true' })),
      /there are no AWS credentials/,
    )
    await refused(
      t,
      awsFake(() => ({ AWS_WEB_IDENTITY_TOKEN_FILE: join(folder, 'none'), AWS_ROLE_ARN: 'x' })),
      /none cannot be read/,
    )
  })

  test('Google: a service account, a user and the machine are let in, and a forged account is not', async (t) => {
    const account = (url: string) => ({ GOOGLE_APPLICATION_CREDENTIALS: serviceAccount(url) })
    const user = (url: string) => ({
      GOOGLE_APPLICATION_CREDENTIALS: file(
        'user.json',
        JSON.stringify({
          type: 'authorized_user',
          client_id: 'c',
          client_secret: 'the-secret',
          refresh_token: 'the-refresh-token',
          token_uri: `${url}/token`,
        }),
      ),
    })
    for (const source of [account, user]) {
      const { fake } = await sealsOnce(t, gcpFake(source, publicKey))
      assert.deepEqual(fake.done, ['login', 'encrypt', 'encrypt'])
    }
    const other = generateKeyPairSync('rsa', { modulusLength: 2048 })
      .privateKey.export({ type: 'pkcs8', format: 'pem' })
      .toString()
    await refused(
      t,
      gcpFake((url) => ({ GOOGLE_APPLICATION_CREDENTIALS: serviceAccount(url, other) }), publicKey),
      /invalid_grant/,
    )
    const federated = file('federated.json', JSON.stringify({ type: 'external_account' }))
    await refused(
      t,
      gcpFake(() => ({ GOOGLE_APPLICATION_CREDENTIALS: federated })),
      /is of type external_account, which is not known here/,
    )
    await refused(
      t,
      gcpFake(() => ({ GOOGLE_APPLICATION_CREDENTIALS: file('bad', '{"private_key":"canary') })),
      /bad is no JSON$/,
    )
  })

  test('Transit: a token in the environment or in a file that an agent replaces', async (t) => {
    const path = file('vault-token', 'hvs.old\n')
    const fake = await running(t, transitFake({ VAULT_TOKEN_FILE: path }))
    const { seal } = sealing(fake)
    await assert.rejects(seal.create(ROW), /http_403/)
    file('vault-token', 'hvs.the-token\n')
    await seal.create(ROW)
    await sealsOnce(t, transitFake({ BAO_TOKEN: 'hvs.the-token' }))
    await refused(t, transitFake({}), /neither VAULT_TOKEN nor VAULT_TOKEN_FILE is set/)
  })

  test('a reference that names no key is refused when it is read', () => {
    const at = (reference: string) => () => sealing({ reference, environment: {} })
    for (const arn of ['alias/x', 'arn:aws:kms:eu-central-1:111122223333:alias/x', `${ARN}/x`])
      assert.throws(at(`aws-kms:${arn}`), /^Error: master key 1 of 1 must name a key by its ARN/)
    for (const name of ['projects/x', `${GCP_KEY}/cryptoKeyVersions/1`, `${GCP_KEY}?x`])
      assert.throws(at(`gcp-kms:${name}`), /must name a key: gcp-kms:projects/)
    for (const url of [
      'vault.example',
      'https://v.example/v1/transit/latchstring',
      'https://u:p@v.example/v1/transit/keys/x',
      'ftp://v.example/v1/transit/keys/x',
    ])
      assert.throws(at(`transit:${url}`), /must name a key: transit:https/)
  })
})
