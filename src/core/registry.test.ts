/** What is remembered of the set-up: as long as it is true, never an answer from before a change, and never without bound. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { CallerRecord } from './caller.ts'
import type { RecordStore } from './ports.ts'
import type { Provider } from './provider.ts'
import { Registry } from './registry.ts'

function callerNamed(clientId: string, disabled = false): CallerRecord {
  const held = { pins: {}, dpop: false, rateLimit: null, lastUsedAt: null }
  return { clientId, tenant: 't', secretHash: 'h', scopes: [], owner: 'o', expiresAt: null, disabled, createdAt: 0, ...held }
}

function providerNamed(id: string, name = id): Provider {
  return { id, name, mode: 'oauth2' }
}

/** Records that tell how often they were read, and wait when they are told to. */
function records() {
  const state = {
    callers: new Map<string, CallerRecord>(),
    own: [] as Provider[],
    version: 1,
    reads: 0,
    failing: false,
    gate: null as Promise<void> | null,
  }
  const read = async <T>(find: () => T): Promise<T> => {
    state.reads++
    if (state.failing) throw new Error('the store is gone')
    const found = find()
    await state.gate
    return found
  }
  const store: Pick<RecordStore, 'version' | 'providers' | 'app' | 'caller'> = {
    version: async () => state.version,
    providers: () => read(() => [...state.own]),
    app: () => read(() => null),
    caller: (clientId) => read(() => state.callers.get(clientId) ?? null),
  }
  const catalog = new Map([['github', providerNamed('github')]])
  return { state, registry: new Registry(store as RecordStore, catalog) }
}

describe('callers and apps', () => {
  test('are read once, and then answered without a promise', async () => {
    const { state, registry } = records()
    const backend = callerNamed('backend')
    state.callers.set('backend', backend)
    assert.equal(await registry.caller('backend'), backend)
    assert.equal(registry.caller('backend'), backend)
    assert.equal(state.reads, 1)
  })

  test('that are not there are looked for each time: guesses fill no memory, and what is made later is found', async () => {
    const { state, registry } = records()
    for (let time = 0; time < 3; time++) assert.equal(await registry.caller('nobody'), null)
    assert.equal(state.reads, 3)
    state.callers.set('nobody', callerNamed('nobody'))
    assert.equal((await registry.caller('nobody'))?.clientId, 'nobody')
  })

  test('are forgotten when any process has changed something, and not before', async () => {
    const { state, registry } = records()
    state.callers.set('backend', callerNamed('backend'))
    await registry.refresh()
    await registry.caller('backend')
    state.callers.set('backend', callerNamed('backend', true))
    await registry.refresh()
    assert.equal((await registry.caller('backend'))?.disabled, false, 'the version is the same')
    state.version++
    await registry.refresh()
    assert.equal((await registry.caller('backend'))?.disabled, true)
  })

  test('that began to be read before a change are not remembered after it', async () => {
    const { state, registry } = records()
    state.callers.set('backend', callerNamed('backend'))
    const gate = Promise.withResolvers<void>()
    state.gate = gate.promise
    const early = registry.caller('backend')
    state.callers.set('backend', callerNamed('backend', true))
    registry.forget()
    gate.resolve()
    assert.equal((await early)?.disabled, false, 'it was read before')
    assert.equal((await registry.caller('backend'))?.disabled, true)
  })

  test('are told apart by tenant and name together', async () => {
    const asked: string[] = []
    const store = { app: async (tenant: string, ref: string) => (asked.push(`${tenant}/${ref}`), { tenant, ref }) }
    const registry = new Registry(store as unknown as RecordStore, new Map())
    const [a, b] = [await registry.app('a', 'b/c'), await registry.app('a/b', 'c')]
    assert.notDeepEqual(a, b)
    assert.deepEqual(asked, ['a/b/c', 'a/b/c'])
  })

  test('are not remembered without bound', async () => {
    const { state, registry } = records()
    const clients = Array.from({ length: 10_001 }, (_, n) => `client-${n}`)
    for (const id of clients) state.callers.set(id, callerNamed(id))
    for (const id of clients) await registry.caller(id)
    const remembered = clients.filter((id) => !(registry.caller(id) instanceof Promise))
    assert(remembered.length <= 10_000)
    assert.equal(remembered.at(-1), 'client-10000', 'the latest is there')
  })
})

describe('whoever watches for changes', () => {
  test('is told of each once, and of one that it could not follow until it can', async () => {
    const { state, registry } = records()
    const told: number[] = []
    let failing = false
    registry.watch(async () => {
      told.push(state.version)
      if (failing) throw new Error('the key service is away')
    })
    await registry.refresh()
    await registry.refresh()
    assert.deepEqual(told, [1])
    state.version++
    failing = true
    await assert.rejects(registry.refresh(), /the key service is away/)
    await assert.rejects(registry.refresh(), /the key service is away/)
    failing = false
    await registry.refresh()
    await registry.refresh()
    assert.deepEqual(told, [1, 2, 2, 2])
  })
})

describe('providers', () => {
  test('of one’s own come before those of the catalogue with the same id', async () => {
    const { state, registry } = records()
    state.own = [providerNamed('github', 'Our GitHub'), providerNamed('local')]
    assert.equal((await registry.provider('github'))?.name, 'Our GitHub')
    assert.deepEqual(
      (await registry.providers()).map(({ name }) => name),
      ['Our GitHub', 'local'],
    )
    assert.equal(await registry.provider('nowhere'), null)
    assert.equal(state.reads, 1)
  })

  test('a read that failed is not the answer for ever', async () => {
    const { state, registry } = records()
    state.failing = true
    await assert.rejects(registry.provider('local'), /the store is gone/)
    await assert.rejects(registry.providers(), /the store is gone/)
    state.failing = false
    state.own = [providerNamed('local')]
    assert.equal((await registry.provider('local'))?.name, 'local')
  })
})
