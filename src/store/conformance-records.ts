/** What every store must do with providers, apps, callers and keys. */

import assert from 'node:assert/strict'
import type { RecordChange } from '../core/ports.ts'
import type { Check } from './conformance.ts'
import {
  brokenFact,
  NOW,
  ODD_BYTES,
  ODD_TEXT,
  sampleApp,
  sampleCaller,
  sampleFact,
  sampleIssuer,
  sampleKey,
  sampleProvider,
} from './samples.ts'

export function checkRecords(check: Check): void {
  check('providers, apps and callers come back exactly as they were put, in order', async ({ records }) => {
    const providers = [
      sampleProvider({ id: 'a', hosts: [ODD_TEXT], authorize_params: { prompt: 'consent' } }),
      sampleProvider({ id: 'b' }),
    ]
    const apps = [
      sampleApp(),
      sampleApp({
        tenant: 'other',
        name: ODD_TEXT,
        scopes: [],
        callbackUrl: ODD_TEXT,
        allowedCallbackUrls: [],
        config: {},
        onePerOwner: false,
        sharedRedirectUri: true,
        allowAccountChange: true,
        onePerAccount: true,
        requiredScopes: [],
        sealed: { dataKey: ODD_BYTES, clientSecret: null, privateKey: ODD_BYTES },
        updatedAt: Number.MAX_SAFE_INTEGER,
      }),
    ]
    const callers = [
      sampleCaller({ clientId: 'a', expiresAt: NOW, disabled: true }),
      sampleCaller({ clientId: 'b', owner: ODD_TEXT, scopes: [] }),
      sampleCaller({ clientId: 'c', pins: { apps: [ODD_TEXT], ip: ['2001:db8::/32'] }, dpop: true, rateLimit: 1000 }),
    ]
    const issuers = [sampleIssuer(), sampleIssuer({ issuer: 'https://other.example', scopes: null, tenant: { claim: ODD_TEXT } })]
    const changes: RecordChange[] = [
      ...providers.map((provider) => ({ put: 'provider', provider }) as const),
      ...apps.map((app) => ({ put: 'app', app }) as const),
      ...callers.map((caller) => ({ put: 'caller', caller }) as const),
      ...issuers.map((issuer) => ({ put: 'issuer', issuer }) as const),
    ]
    await records.change(changes.toReversed(), [])
    assert.deepEqual(await records.providers(), providers)
    assert.deepEqual(await records.apps(null), apps)
    assert.deepEqual(await records.callers(null), callers)
    assert.deepEqual(await records.trustedIssuers(), issuers)
    assert.deepEqual(await records.app('other', 'crm'), apps[1])
    assert.deepEqual(await records.caller('a'), callers[0])
    assert.equal(await records.app('acme', 'mail'), null)
    assert.equal(await records.caller('d'), null)
  })

  check('putting again replaces, removing removes, and removing what is not there is no failure', async ({ records }) => {
    await records.change(
      [
        { put: 'provider', provider: sampleProvider() },
        { put: 'app', app: sampleApp() },
        { put: 'caller', caller: sampleCaller() },
        { put: 'issuer', issuer: sampleIssuer() },
      ],
      [],
    )
    const issuer = sampleIssuer({ audience: 'https://new.example' })
    const [provider, app, caller] = [
      sampleProvider({ name: 'New' }),
      sampleApp({ name: 'New' }),
      sampleCaller({ owner: 'new@example.com' }),
    ]
    await records.change(
      [
        { put: 'provider', provider },
        { put: 'app', app },
        { put: 'caller', caller },
        { put: 'issuer', issuer },
      ],
      [],
    )
    assert.deepEqual(await records.trustedIssuers(), [issuer])
    assert.deepEqual(
      [await records.providers(), await records.apps(null), await records.callers(null)],
      [[provider], [app], [caller]],
    )
    for (let i = 0; i < 2; i++) {
      await records.change(
        [
          { remove: 'provider', id: 'sales' },
          { remove: 'app', tenant: 'acme', keyCodeRef: 'crm' },
          { remove: 'caller', clientId: 'backend' },
          { remove: 'issuer', issuer: 'https://login.example' },
        ],
        [],
      )
      assert.deepEqual(await records.trustedIssuers(), [])
      assert.deepEqual([await records.providers(), await records.apps(null), await records.callers(null)], [[], [], []])
    }
  })

  check('a list of changes with one that cannot be made changes nothing', async ({ records, history }) => {
    await records.change([{ put: 'caller', caller: sampleCaller() }], [])
    const version = await records.version()
    const changes: RecordChange[] = [
      { put: 'app', app: sampleApp() },
      { remove: 'caller', clientId: 'nobody' },
      { put: 'provider', provider: sampleProvider() },
      { put: 'caller', caller: sampleCaller({ tenant: 'other' }) },
    ]
    await assert.rejects(records.change(changes, [sampleFact()]), { code: 'CONFLICT' })
    assert.deepEqual([await records.providers(), await records.apps(null)], [[], []])
    assert.deepEqual(await records.callers(null), [sampleCaller()])
    assert.equal(await records.version(), version)
    assert.deepEqual(await history(null, { before: null, limit: 9 }), [])
  })

  check('a change by what was seen is made only if nothing was changed since, and says whether it was', async (store) => {
    const { records } = store
    await records.change([{ put: 'caller', caller: sampleCaller() }], [])
    const seen = await records.version()
    const change = (owner: string) =>
      records.change([{ put: 'caller', caller: sampleCaller({ owner }) }], [sampleFact({ subject: owner })], seen)
    const made = await Promise.all(['a', 'b', 'c', 'd'].map(change))
    assert.equal(made.filter(Boolean).length, 1)
    const version = await records.version()
    assert.notEqual(version, seen)
    const owner = ['a', 'b', 'c', 'd'][made.indexOf(true)] ?? ''
    assert.equal(await change('later'), false)
    assert.deepEqual(await records.callers(null), [sampleCaller({ owner })])
    assert.deepEqual(
      (await store.history(null, { before: null, limit: 9 })).map(({ subject }) => subject),
      [owner],
    )
    assert.equal(await records.version(), version)
    assert.equal(await records.change([{ remove: 'caller', clientId: 'backend' }], [], version), true)
    assert.deepEqual(await records.callers(null), [])
  })

  check('a caller moves to another tenant only by being removed first', async ({ records }) => {
    await records.change([{ put: 'caller', caller: sampleCaller() }], [])
    const moved = sampleCaller({ tenant: 'other' })
    await assert.rejects(records.change([{ put: 'caller', caller: moved }], []), { code: 'CONFLICT' })
    await records.change(
      [
        { remove: 'caller', clientId: 'backend' },
        { put: 'caller', caller: moved },
      ],
      [],
    )
    assert.deepEqual(await records.caller('backend'), moved)
  })

  check(
    'when callers were last there is kept apart: only later moments count, and no change of a caller touches it',
    async ({ records }) => {
      const change = (owner: string) => records.change([{ put: 'caller', caller: sampleCaller({ owner, lastUsedAt: 7 }) }], [])
      await change('first')
      assert.equal((await records.caller('backend'))?.lastUsedAt, null)
      const version = await records.version()
      await records.used([
        { clientId: 'backend', at: NOW },
        { clientId: 'nobody', at: NOW },
      ])
      await records.used([{ clientId: 'backend', at: NOW - 1 }])
      await records.used([])
      assert.equal((await records.caller('backend'))?.lastUsedAt, NOW)
      assert.equal(await records.version(), version)
      await change('second')
      assert.deepEqual(await records.callers(null), [sampleCaller({ owner: 'second', lastUsedAt: NOW })])
    },
  )

  check('tenants never see each other’s apps and callers', async ({ records }) => {
    await records.change(
      [
        { put: 'app', app: sampleApp() },
        { put: 'app', app: sampleApp({ tenant: 'other', name: 'Theirs' }) },
        { put: 'caller', caller: sampleCaller() },
        { put: 'caller', caller: sampleCaller({ tenant: 'other', clientId: 'theirs' }) },
      ],
      [],
    )
    assert.deepEqual(await records.apps('acme'), [sampleApp()])
    assert.deepEqual(await records.app('acme', 'crm'), sampleApp())
    assert.equal(await records.app('third', 'crm'), null)
    assert.deepEqual(await records.callers('acme'), [sampleCaller()])
    assert.deepEqual(await records.callers('third'), [])
    await records.change([{ remove: 'app', tenant: 'acme', keyCodeRef: 'crm' }], [])
    assert.equal((await records.app('other', 'crm'))?.name, 'Theirs')
  })

  check('the version changes with every write and with nothing else', async ({ records }) => {
    const versions = [await records.version()]
    const wrote = async () => {
      const version = await records.version()
      assert(!versions.includes(version))
      assert.equal(await records.version(), version)
      versions.push(version)
    }
    await records.change([{ put: 'provider', provider: sampleProvider() }], [])
    await wrote()
    await records.change([{ put: 'provider', provider: sampleProvider() }], [])
    await wrote()
    await records.change([{ remove: 'provider', id: 'sales' }], [])
    await wrote()
    await records.addKey(sampleKey())
    await wrote()
    await Promise.all([
      records.providers(),
      records.apps(null),
      records.callers(null),
      records.keys(),
      records.addKey(sampleKey()),
    ])
    assert.equal(await records.version(), versions.at(-1))
  })

  check(
    'F-49 the store knows until when it was worked on, and neither that nor what it was put back to goes back',
    async (store) => {
      assert.deepEqual(await store.life(), { lived: 0, restored: 0 })
      await store.live({ lived: NOW }, [])
      await store.live({ lived: NOW - 1 }, [])
      assert.deepEqual(await store.life(), { lived: NOW, restored: 0 })
      await store.live({ restored: NOW }, [sampleFact()])
      await store.live({ lived: NOW + 5, restored: 1 }, [])
      assert.deepEqual(await store.life(), { lived: NOW + 5, restored: NOW })
      assert.equal((await store.history(null, { before: null, limit: 9 })).length, 1)
      await assert.rejects(store.live({ lived: NOW + 9 }, [brokenFact()]))
      assert.deepEqual(await store.life(), { lived: NOW + 5, restored: NOW })
    },
  )

  check('of 32 keys added at once for one purpose one stands, and everybody gets it', async ({ records }) => {
    const added = await Promise.all(
      Array.from({ length: 32 }, (_, i) => records.addKey(sampleKey({ id: `key-${i}`, sealed: ODD_BYTES.subarray(i) }))),
    )
    const [standing] = await records.keys()
    assert(standing)
    for (const key of added) assert.deepEqual(key, standing)
    const hash = await records.addKey(sampleKey({ purpose: 'hash', id: 'key-h' }))
    assert.deepEqual(hash, sampleKey({ purpose: 'hash', id: 'key-h' }))
    assert.deepEqual(await records.keys(), [hash, standing])
  })
}
