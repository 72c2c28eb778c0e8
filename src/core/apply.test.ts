/** Making it so: idempotent, all or nothing, with every change named and no secret told. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { readConfig } from '../config.ts'
import { type Broker, openBroker } from '../main.ts'
import { apply, generateSecret } from './apply.ts'
import type { Ports } from './ports.ts'
import type { Provider } from './provider.ts'
import { registrationOf } from './registration.ts'
import { Secret } from './secret.ts'
import type { AppSetup, CallerSetup, Setup } from './setup.ts'

let broker: Broker
let ports: Ports
before(async () => {
  const masterKey = randomBytes(32).toString('base64')
  broker = await openBroker(readConfig({}, { LATCHSTRING_DATABASE_URL: 'memory:', LATCHSTRING_MASTER_KEY: masterKey }))
  ports = broker.ports
})
after(() => broker.close())

let named = 0
const name = (what: string) => `${what}-${++named}`

function aProvider(changes: Partial<Provider> = {}): Provider {
  return { id: name('provider'), name: 'Local', mode: 'oauth2', token_url: 'https://local.example/token', ...changes }
}

function anApp(provider: Provider, changes: Partial<AppSetup> = {}): AppSetup {
  return {
    tenant: 'default',
    keyCodeRef: name('app'),
    provider: provider.id,
    name: 'App',
    clientId: 'client',
    clientSecret: new Secret('a client secret'),
    privateKey: null,
    scopes: ['a', 'b'],
    callbackUrl: 'https://app.example/callback',
    allowedCallbackUrls: [],
    userBinding: 'confirm',
    config: { one: '1', two: '2' },
    onePerOwner: false,
    sharedRedirectUri: false,
    revokeWhenUnused: null,
    onePerAccount: false,
    allowAccountChange: false,
    requiredScopes: [],
    ...changes,
  }
}

function aCaller(changes: Partial<CallerSetup> = {}): CallerSetup {
  const plain = {
    tenant: 'default',
    clientSecret: new Secret('c'.repeat(44)),
    scopes: ['read:apps' as const],
    owner: 'ops',
    expiresAt: null,
    pins: {},
    dpop: false,
    rateLimit: null,
  }
  return { clientId: name('caller'), ...plain, ...changes }
}

function setupOf({ providers = [], apps = [], callers = [], issuers = [] }: Partial<Setup>): Setup {
  return { providers, apps, callers, issuers }
}

async function applied(setup: Partial<Setup>): Promise<string[]> {
  const { changes } = await apply(ports, 'operator', setupOf(setup))
  return changes.map(({ kind, change, fields }) => [kind, change, ...fields].join(' '))
}

const latestFacts = async (limit: number) =>
  (await ports.store.history(null, { before: null, limit })).map(({ action, reason }) => `${action} ${reason}`)

test('what is new is created, and the same again changes nothing: no write, no fact', async () => {
  const provider = aProvider()
  const setup = { providers: [provider], apps: [anApp(provider)], callers: [aCaller()] }
  assert.deepEqual(await applied(setup), ['provider created', 'app created', 'caller created'])
  const before = [await ports.store.records.version(), await ports.store.history(null, { before: null, limit: 100 })]
  assert.deepEqual(await applied(setup), ['provider unchanged', 'app unchanged', 'caller unchanged'])
  assert.deepEqual([await ports.store.records.version(), await ports.store.history(null, { before: null, limit: 100 })], before)
})

test('the order of keys means nothing, the order of a list does', async () => {
  const provider = aProvider()
  const app = anApp(provider)
  await applied({ providers: [provider], apps: [app] })
  const turned = Object.fromEntries(Object.entries(provider).reverse()) as unknown as Provider
  assert.deepEqual(await applied({ providers: [turned], apps: [{ ...app, config: { two: '2', one: '1' } }] }), [
    'provider unchanged',
    'app unchanged',
  ])
  assert.deepEqual(await applied({ apps: [{ ...app, scopes: ['b', 'a'] }] }), ['app updated scopes'])
})

test('what differs is named, field by field, and told in the history', async () => {
  const provider = aProvider()
  const app = anApp(provider)
  const caller = aCaller()
  await applied({ providers: [provider], apps: [app], callers: [caller] })
  const changed = {
    providers: [{ ...provider, name: 'Renamed', authorize_url: 'https://local.example/authorize' }],
    apps: [{ ...app, callbackUrl: null, onePerOwner: true }],
    callers: [{ ...caller, scopes: ['read:apps', 'write:apps'] as const, expiresAt: 1 }],
  }
  assert.deepEqual(await applied(changed), [
    'provider updated name authorize_url',
    'app updated callback_url one_per_owner',
    'caller updated scopes expires',
  ])
  assert.deepEqual((await latestFacts(3)).reverse(), [
    'provider.applied updated name authorize_url',
    'app.applied updated callback_url one_per_owner user_binding confirm',
    'caller.applied updated scopes expires',
  ])
  assert.deepEqual(await applied(changed), ['provider unchanged', 'app unchanged', 'caller unchanged'])
})

test('secrets are compared and never told; an unchanged one is left as it lies', async () => {
  const provider = aProvider()
  const app = anApp(provider)
  await applied({ providers: [provider], apps: [app] })
  const sealed = async () => (await ports.store.records.app('default', app.keyCodeRef))?.sealed
  const first = await sealed()
  assert.deepEqual(await applied({ apps: [{ ...app, name: 'Renamed' }] }), ['app updated name'])
  assert.deepEqual(await sealed(), first)

  const next = { ...app, name: 'Renamed', clientSecret: new Secret('another client secret') }
  assert.deepEqual(await applied({ apps: [next] }), ['app updated client_secret'])
  assert.notDeepEqual((await sealed())?.dataKey, first?.dataKey)
  const { registration } = await registrationOf(ports, 'default', app.keyCodeRef)
  assert.equal(registration.clientSecret?.reveal(), 'another client secret')
  assert(!(await latestFacts(100)).join('\n').includes('another client secret'))

  assert.deepEqual(await applied({ apps: [{ ...next, clientSecret: null, privateKey: new Secret('pem') }] }), [
    'app updated client_secret private_key',
  ])
  const { registration: after } = await registrationOf(ports, 'default', app.keyCodeRef)
  assert.deepEqual([after.clientSecret, after.privateKey?.reveal()], [null, 'pem'])
})

test('a secret that does not open any more is mended by giving it again', async () => {
  const provider = aProvider()
  const app = anApp(provider)
  await applied({ providers: [provider], apps: [app] })
  const known = await ports.store.records.app('default', app.keyCodeRef)
  const spoilt = { ...known!, sealed: { ...known!.sealed, clientSecret: Uint8Array.of(1, 2, 3) } }
  await ports.store.records.change([{ put: 'app', app: spoilt }], [])
  ports.registry.forget()
  await assert.rejects(registrationOf(ports, 'default', app.keyCodeRef), { code: 'INTEGRITY_FAILURE' })
  assert.deepEqual(await applied({ apps: [app] }), ['app updated client_secret'])
  const { registration } = await registrationOf(ports, 'default', app.keyCodeRef)
  assert.equal(registration.clientSecret?.reveal(), 'a client secret')
})

test('when it was made is kept, when it was changed is not', async () => {
  const provider = aProvider()
  const app = anApp(provider)
  const at = (now: number) => ({ ...ports, now: () => now })
  await apply(at(1000), 'operator', setupOf({ providers: [provider], apps: [app] }))
  await apply(at(2000), 'operator', setupOf({ apps: [app] }))
  await apply(at(3000), 'operator', setupOf({ apps: [{ ...app, name: 'Renamed' }] }))
  const found = await ports.store.records.app('default', app.keyCodeRef)
  assert.deepEqual([found?.createdAt, found?.updatedAt], [1000, 3000])
})

test('a mistake anywhere leaves everything as it was', async () => {
  const provider = aProvider()
  const taken = aCaller()
  await applied({ callers: [taken] })
  const version = await ports.store.records.version()
  const app = anApp(provider)
  const foreign = { ...taken, tenant: 'elsewhere' }
  const nowhere = anApp({ ...provider, id: 'nowhere' })
  await assert.rejects(applied({ providers: [provider], apps: [app, nowhere], callers: [aCaller()] }), {
    code: 'INVALID_REQUEST',
  })
  await assert.rejects(applied({ providers: [provider], apps: [app], callers: [aCaller(), foreign] }), { code: 'CONFLICT' })
  assert.equal(await ports.store.records.version(), version)
  assert.equal(await ports.store.records.app('default', app.keyCodeRef), null)
  assert.equal((await ports.store.records.caller(taken.clientId))?.tenant, 'default')
})

test('a client id of another tenant is refused without saying whose it is', async () => {
  const mine = aCaller({ tenant: 'a-secret-customer' })
  await applied({ callers: [mine] })
  await assert.rejects(applied({ callers: [{ ...mine, tenant: 'curious' }] }), (error: Error) => {
    assert.match(error.message, new RegExp(mine.clientId))
    assert(!error.message.includes('a-secret-customer'))
    return true
  })
})

test('an app may name a provider of the catalogue, or one that comes with it', async () => {
  assert.deepEqual(await applied({ apps: [anApp(aProvider({ id: 'github' }))] }), ['app created'])
  const provider = aProvider()
  assert.deepEqual(await applied({ providers: [provider], apps: [anApp(provider)] }), ['provider created', 'app created'])
})

test('the same name in two tenants is two apps', async () => {
  const provider = aProvider()
  const app = anApp(provider)
  await applied({ providers: [provider], apps: [app, { ...app, tenant: 'other', clientId: 'theirs' }] })
  assert.equal((await ports.store.records.app('default', app.keyCodeRef))?.clientId, 'client')
  assert.equal((await ports.store.records.app('other', app.keyCodeRef))?.clientId, 'theirs')
})

test('a caller without a secret gets one once, and keeps it', async () => {
  const caller = aCaller({ clientSecret: null })
  const { generated } = await apply(ports, 'operator', setupOf({ callers: [caller] }))
  const secret = generated.get(caller.clientId)
  assert.match(secret?.reveal() ?? '', /^[a-zA-Z0-9]{48}$/)
  const kept = async () => (await ports.store.records.caller(caller.clientId))?.secretHash
  assert.equal(await kept(), ports.hashOf(secret!))

  const again = await apply(ports, 'operator', setupOf({ callers: [{ ...caller, owner: 'others' }] }))
  assert.equal(again.generated.size, 0)
  assert.equal(await kept(), ports.hashOf(secret!))
  assert.deepEqual(await applied({ callers: [{ ...caller, owner: 'others', clientSecret: secret! }] }), ['caller unchanged'])
  assert.deepEqual(await applied({ callers: [{ ...caller, owner: 'others', clientSecret: new Secret('d'.repeat(44)) }] }), [
    'caller updated client_secret',
  ])
})

test('generated secrets differ, and use all letters and digits', () => {
  const secrets = Array.from({ length: 200 }, () => generateSecret().reveal())
  assert.equal(new Set(secrets).size, 200)
  assert.equal(new Set(secrets.join('')).size, 62)
})

test('what is applied is seen at once by whoever asks the registry', async () => {
  const provider = aProvider()
  const app = anApp(provider)
  await applied({ providers: [provider], apps: [app] })
  assert.equal((await ports.registry.app('default', app.keyCodeRef))?.name, 'App')
  await applied({ apps: [{ ...app, name: 'Renamed' }] })
  assert.equal((await ports.registry.app('default', app.keyCodeRef))?.name, 'Renamed')
})
