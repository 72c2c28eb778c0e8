/** What an operator is told about latchstring.yaml, and what comes of one that is right. */

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { inspect } from 'node:util'
import type { Provider } from '../core/provider.ts'
import { checkApp, checkCaller, readSetup, readSetupText } from './file.ts'
import { CatalogError } from './mistake.ts'

const SECRET = 'a'.repeat(40)
const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const KEY = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
const ENV = { LOCAL_SECRET: 'hush-1', BACKEND_SECRET: SECRET, KEY, EMPTY: '' }

const catalog = new Map<string, Provider>(
  [
    { id: 'plain', name: 'Plain', mode: 'oauth2' as const, issuer: 'https://plain.example' },
    { id: 'public', name: 'Public', mode: 'oauth2' as const, issuer: 'https://public.example', client_auth: 'none' as const },
    {
      id: 'signed',
      name: 'Signed',
      mode: 'oauth2' as const,
      issuer: 'https://signed.example',
      client_auth: 'private_key_jwt' as const,
    },
    {
      id: 'hosted',
      name: 'Hosted',
      mode: 'oauth2' as const,
      authorize_url: 'https://{host}.hosted.example/authorize',
      token_url: 'https://{host}.hosted.example/{region}/token',
      config: { host: { title: 'Your host', example: 'acme' }, region: { title: 'Region', enum: ['eu', 'us'], default: 'eu' } },
    },
  ].map((provider) => [provider.id, provider]),
)

test('a whole file becomes a setup, with secrets that cannot be printed', () => {
  const setup = read(`
# yaml-language-server: $schema=latchstring.schema.json
providers:
  - id: local
    name: Local provider
    mode: oauth2
    authorize_url: http://127.0.0.1:4999/authorize
    token_url: http://127.0.0.1:4999/token
    revoke_url: http://127.0.0.1:4999/revoke
    allow_private_network: true
apps:
  - key_code_ref: local
    provider: local
    name: My local app
    client_id: my-client
    client_secret: \${env:LOCAL_SECRET}
    scopes: [files.read]
    callback_url: http://127.0.0.1:9/app/callback
    allowed_callback_urls: [http://127.0.0.1:9/other/callback]
    user_binding: complete
    one_per_owner: true
    one_per_account: true
    allow_account_change: true
    required_scopes: [files.read]
    shared_redirect_uri: true
    revoke_when_unused: 180d
    tenant: acme
callers:
  - client_id: backend
    client_secret: \${env:BACKEND_SECRET}
    scopes: [read:connected_apps, create:connected_apps]
    owner: ops@example.com
    expires: 2027-06-01
    pins: { apps: [local], ip: [203.0.113.0/24, '2001:db8::7'] }
    dpop: required
    rate_limit: 1000/min
    tenant: acme
`)
  assert.equal(setup.providers[0]?.id, 'local')
  const { clientSecret, privateKey, ...app } = setup.apps[0] ?? assert.fail('no app')
  assert.deepEqual(app, {
    tenant: 'acme',
    keyCodeRef: 'local',
    provider: 'local',
    name: 'My local app',
    clientId: 'my-client',
    scopes: ['files.read'],
    callbackUrl: 'http://127.0.0.1:9/app/callback',
    allowedCallbackUrls: ['http://127.0.0.1:9/other/callback'],
    userBinding: 'complete',
    config: {},
    onePerOwner: true,
    onePerAccount: true,
    allowAccountChange: true,
    requiredScopes: ['files.read'],
    sharedRedirectUri: true,
    revokeWhenUnused: 180,
  })
  assert.equal(clientSecret?.reveal(), 'hush-1')
  assert.equal(privateKey, null)
  const { clientSecret: callerSecret, ...caller } = setup.callers[0] ?? assert.fail('no caller')
  assert.deepEqual(caller, {
    clientId: 'backend',
    tenant: 'acme',
    scopes: ['read:connected_apps', 'create:connected_apps'],
    owner: 'ops@example.com',
    expiresAt: Date.UTC(2027, 5, 1),
    pins: { apps: ['local'], ip: ['203.0.113.0/24', '2001:db8::7'] },
    dpop: true,
    rateLimit: 1000,
  })
  assert.equal(callerSecret?.reveal(), SECRET)
  assert.doesNotMatch(inspect(setup, { depth: 9 }) + JSON.stringify(setup), /hush|aaaa/)
})

test('what is left out has a default', () => {
  const { apps, callers, providers } = read(
    'apps: [{key_code_ref: a, provider: plain, client_id: x, client_secret: y}]\ncallers: [{client_id: b, owner: me, scopes: [read:connected_apps]}]',
  )
  const { clientSecret, ...app } = apps[0] ?? assert.fail('no app')
  assert.equal(clientSecret?.reveal(), 'y')
  assert.deepEqual(app, {
    tenant: 'default',
    keyCodeRef: 'a',
    provider: 'plain',
    name: 'Plain',
    clientId: 'x',
    privateKey: null,
    scopes: [],
    callbackUrl: null,
    allowedCallbackUrls: [],
    userBinding: 'confirm',
    config: {},
    onePerOwner: false,
    onePerAccount: false,
    allowAccountChange: false,
    requiredScopes: [],
    sharedRedirectUri: false,
    revokeWhenUnused: null,
  })
  assert.deepEqual(callers[0], {
    clientId: 'b',
    tenant: 'default',
    clientSecret: null,
    scopes: ['read:connected_apps'],
    owner: 'me',
    expiresAt: null,
    pins: {},
    dpop: false,
    rateLimit: null,
  })
  assert.deepEqual(providers, [])
})

test('an empty file, one of comments and one with empty lists are fine', () => {
  for (const text of ['', '# nothing yet\n', 'apps:\n', 'providers: []\napps:\ncallers: []\n']) {
    assert.deepEqual(read(text), { providers: [], apps: [], callers: [], issuers: [] })
  }
})

test('an app without a secret is fine where the provider wants none, and one with a key where it wants that', () => {
  assert.equal(read('apps: [{key_code_ref: a, provider: public, client_id: x}]').apps[0]?.clientSecret, null)
  const signed = read('apps: [{key_code_ref: a, provider: signed, client_id: x, private_key: "${env:KEY}"}]').apps[0]
  assert.equal(signed?.privateKey?.reveal(), ENV.KEY)
})

test('a private key that cannot be read is told before its users meet it, and nothing of it is shown', () => {
  const text = 'apps: [{key_code_ref: a, provider: signed, client_id: x, private_key: "${env:KEY}"}]'
  const unreadable = {
    'only its first line, as files of variables leave of it': KEY.split('\n')[0]!,
    'with the two characters \\n where lines end': KEY.replaceAll('\n', '\\n'),
    'cut short': KEY.slice(0, -40),
    'the public half': JSON.stringify(publicKey.export({ format: 'jwk' })),
    'a JWK with nothing in it': '{"kty":"OKP","crv":"Ed25519","d":"hush-3","x":""}',
  }
  for (const [how, key] of Object.entries(unreadable)) {
    const told = (error: unknown) =>
      error instanceof CatalogError &&
      /private_key: must be PKCS #8 PEM/.test(error.message) &&
      !error.message.includes('hush-3') &&
      !error.message.includes(KEY.split('\n')[1]!)
    assert.throws(() => readSetupText(text, 'f.yaml', { KEY: key }, catalog), told, how)
  }
  const jwk = JSON.stringify(privateKey.export({ format: 'jwk' }))
  assert.equal(readSetupText(text, 'f.yaml', { KEY: jwk }, catalog).apps[0]?.privateKey?.reveal(), jwk)
})

test('a variable may be a part of a value, and what it holds is taken as it is', () => {
  const text = 'apps: [{key_code_ref: a, provider: plain, client_id: "x-${env:A}-y", client_secret: "${env:B}"}]'
  const [app] = readSetupText(text, 'f.yaml', { A: '1', B: '${env:A}: [& *' }, catalog).apps
  assert.equal(app?.clientId, 'x-1-y')
  assert.equal(app.clientSecret?.reveal(), '${env:A}: [& *')
})

const APP = `apps:
  - key_code_ref: a
    provider: plain
    client_id: x
    client_secret: y
`
const CALLER = `callers:
  - client_id: b
    owner: me
    scopes: [read:connected_apps]
`

const ADDED: readonly [string, string, string, string][] = [
  ['an unknown field', APP, '    scope: [a]', 'f.yaml:6:5: apps[0].scope: is unknown: did you mean scopes?'],
  [
    'a binding that there is not',
    APP,
    '    user_binding: confrim',
    'f.yaml:6:19: apps[0].user_binding: must be one of none, confirm, callback, complete: did you mean confirm?',
  ],
  [
    'a binding that ends nowhere',
    APP,
    '    user_binding: complete',
    'f.yaml:2:5: apps[0].callback_url: is missing: user_binding: complete',
  ],
  [
    'a callback over http',
    APP,
    '    callback_url: http://app.example/cb',
    'f.yaml:6:19: apps[0].callback_url: must begin with https://',
  ],
  [
    'a callback with a fragment',
    APP,
    '    callback_url: https://app.example/cb#x',
    'f.yaml:6:19: apps[0].callback_url: must not have a fragment',
  ],
  [
    'a callback with a user name',
    APP,
    '    callback_url: https://good@app.example/cb',
    'f.yaml:6:19: apps[0].callback_url: must not carry a user name',
  ],
  ['a callback that is no URL', APP, '    callback_url: /cb', 'f.yaml:6:19: apps[0].callback_url: must be an absolute URL'],
  [
    'a callback that is a script',
    APP,
    '    callback_url: "javascript:alert(1)"',
    'f.yaml:6:19: apps[0].callback_url: must be an absolute URL',
  ],
  [
    'a callback with a backslash',
    APP,
    "    callback_url: 'https://app.example\\@evil.com'",
    'f.yaml:6:19: apps[0].callback_url: must not contain spaces, backslashes',
  ],
  [
    'a wildcard',
    APP,
    '    allowed_callback_urls: ["https://*.app.example/cb"]',
    'f.yaml:6:29: apps[0].allowed_callback_urls[0]: must not have a wildcard',
  ],
  ['a tenant with a slash', APP, '    tenant: a/b', 'f.yaml:6:13: apps[0].tenant: must be letters, digits, dots'],
  [
    'a value that the provider does not ask for',
    APP,
    '    config: {host: x}',
    'f.yaml:6:14: apps[0].config.host: is unknown to plain',
  ],
  [
    'a key where a secret is wanted',
    APP,
    '    private_key: "${env:KEY}"',
    'f.yaml:6:5: apps[0].private_key: is of no use: plain has client_auth: basic',
  ],
  [
    'a variable that is not set',
    APP,
    '    name: ${env:NOPE}',
    'f.yaml:6:11: apps[0].name: needs the environment variable NOPE, which is not set',
  ],
  [
    'a variable that is empty',
    APP,
    '    name: ${env:EMPTY}',
    'f.yaml:6:11: apps[0].name: needs the environment variable EMPTY, which is empty',
  ],
  [
    'a variable that every object has',
    APP,
    '    name: ${env:constructor}',
    'f.yaml:6:11: apps[0].name: needs the environment variable constructor, which is not set',
  ],
  [
    'a variable in the manner of shells',
    APP,
    '    name: ${LOCAL_SECRET}',
    'f.yaml:6:11: apps[0].name: has ${LOCAL_SECRET}: write ${env:LOCAL_SECRET}',
  ],
  [
    'a variable as shells write it',
    APP,
    '    name: $CRM_SECRET',
    'f.yaml:6:11: apps[0].name: is $CRM_SECRET, which is not replaced: write ${env:CRM_SECRET}',
  ],
  ['a variable without a name', APP, '    name: ${env:}', 'f.yaml:6:11: apps[0].name: has ${env:}, which names no variable'],
  [
    'a secret of a caller that some clients refuse',
    CALLER,
    '    client_secret: short',
    'f.yaml:5:20: callers[0].client_secret: must be 40 to 60 letters and digits',
  ],
  ['a day that does not exist', CALLER, '    expires: 2027-02-30', 'f.yaml:5:14: callers[0].expires: must be a day that exists'],
  [
    'a time without a zone',
    CALLER,
    '    expires: 2027-02-20T10:00:00',
    'f.yaml:5:14: callers[0].expires: must be a day that exists',
  ],
  [
    'a scope that there is not',
    CALLER.replace('[read:', '[reed:'),
    '',
    'f.yaml:4:14: callers[0].scopes[0]: must be one of read:connected_apps',
  ],
  [
    'a caller that may do nothing',
    CALLER.replace('[read:connected_apps]', '[]'),
    '',
    'f.yaml:4:13: callers[0].scopes: must name at least one',
  ],
  ['a list that is none', 'apps: none', '', 'f.yaml:1:7: apps: must be a list or nothing, not text'],
  ['a document that is a list', '- apps', '', 'f.yaml:1:1: must be a map of fields, not a list'],
  [
    'a field that is none',
    'trusted: []',
    '',
    'f.yaml:1:1: trusted: is unknown; known are providers, apps, callers, trusted_issuers',
  ],
  [
    'a trusted issuer without an audience',
    'trusted_issuers:\n  - {issuer: "https://i.example"}',
    '',
    'f.yaml:2:5: trusted_issuers[0].audience: is missing',
  ],
  [
    'a trusted issuer that signs with a shared secret, or not at all',
    'trusted_issuers:\n  - {issuer: "https://i.example", audience: a, algorithms: [HS256, none]}',
    '',
    'trusted_issuers[0].algorithms[0]: must be one of',
  ],
  [
    'a trusted issuer without TLS',
    'trusted_issuers:\n  - {issuer: "http://i.example", audience: a}',
    '',
    'f.yaml:2:14: trusted_issuers[0].issuer: must begin with https://',
  ],
  [
    'S-67 a tenant that is said twice',
    'trusted_issuers:\n  - {issuer: "https://i.example", audience: a, tenant: t, tenant_claim: org}',
    '',
    'trusted_issuers[0].tenant_claim: stands beside tenant',
  ],
  [
    'the same issuer twice',
    'trusted_issuers:\n  - {issuer: "https://i.example", audience: a}\n  - {issuer: "https://i.example", audience: b}',
    '',
    'trusted_issuers[1].issuer: is the same issuer as the one on line 2',
  ],
  [
    'a range of addresses that does not begin where it says',
    'callers:\n  - {client_id: c, scopes: [read:connected_apps], owner: o, pins: {ip: [10.0.0.1/8]}}',
    '',
    'callers[0].pins.ip[0]: must begin where its range does: 10.0.0.1 lies within /8',
  ],
  [
    'a limit that is none',
    'callers:\n  - {client_id: c, scopes: [read:connected_apps], owner: o, rate_limit: 5/s}',
    '',
    'callers[0].rate_limit: must be a number of requests a minute, such as 1000/min',
  ],
  [
    'an own provider that is wrong',
    'providers:\n  - {id: p, name: P, mode: oauth2, issuer: "http://p.example"}',
    '',
    'f.yaml:2:44: providers[0].issuer: must begin with https://',
  ],
  ['an item that is none', 'apps:\n  - x', '', 'f.yaml:2:5: apps[0]: must be a map of fields, not text'],
]

for (const [what, text, line, expected] of ADDED) {
  test(`refuses ${what}, with its line`, () => refuses(text + line, expected))
}

const CHANGED: readonly [string, string, string, string][] = [
  ['no reference', 'key_code_ref: a', 'name: A', 'f.yaml:2:5: apps[0].key_code_ref: is missing'],
  ['a reference with a space', 'key_code_ref: a', 'key_code_ref: a b', 'f.yaml:2:19: apps[0].key_code_ref: must be letters'],
  [
    'a number as a client id',
    'client_id: x',
    'client_id: 0123',
    'f.yaml:4:16: apps[0].client_id: must be text, not a number: put it in quotes',
  ],
  [
    'a provider that there is not',
    'provider: plain',
    'provider: plian',
    'f.yaml:3:15: apps[0].provider: is neither in the catalogue nor under providers: did you mean plain?',
  ],
  [
    'no secret where one is wanted',
    '    client_secret: y\n',
    '',
    'f.yaml:2:5: apps[0].client_secret: is missing: plain authenticates its clients',
  ],
  [
    'no key where one is wanted',
    'provider: plain',
    'provider: signed',
    'f.yaml:2:5: apps[0].private_key: is missing: signed wants private_key_jwt',
  ],
  [
    'no value that a URL needs',
    'provider: plain',
    'provider: hosted',
    'f.yaml:2:5: apps[0].config.host: is missing: Your host, such as acme',
  ],
  [
    'a value that is none of the allowed',
    'provider: plain',
    'provider: hosted\n    config: {host: acme, region: asia}',
    'f.yaml:4:34: apps[0].config.region: must be one of eu, us',
  ],
  [
    'a mistyped value',
    'provider: plain',
    'provider: hosted\n    config: {host: acme, regoin: eu}',
    'f.yaml:4:26: apps[0].config.regoin: is unknown to hosted: did you mean region?',
  ],
]

for (const [what, before, after, expected] of CHANGED) {
  test(`refuses ${what}, with its line`, () => refuses(APP.replace(before, after), expected))
}

test('S-43 a value that would lead elsewhere is refused before anything is stored', () => {
  for (const host of ['evil.com#', 'a.b/..', '@', 'x\\r\\ny', 'evil.com/']) {
    const text = APP.replace('provider: plain', `provider: hosted\n    config: {host: "${host}"}`)
    refuses(text, 'f.yaml:4:20: apps[0].config.host: must be a host name')
  }
})

test('two of the same name are refused, and both lines told', () => {
  const apps = `${APP}${APP.replace('apps:\n', '')}`
  refuses(apps, 'f.yaml:6:19: apps[1].key_code_ref: is the same key_code_ref of the same tenant as the one on line 2')
  assert.equal(read(`${apps}    tenant: other\n`).apps.length, 2)
  refuses(
    `${CALLER}${CALLER.replace('callers:\n', '')}`,
    'f.yaml:5:16: callers[1].client_id: is the same client_id as the one on line 2',
  )
  const provider = '  - {id: p, name: P, mode: oauth2, issuer: "https://p.example"}\n'
  refuses(`providers:\n${provider}${provider}`, 'f.yaml:3:10: providers[1].id: is the same provider as the one on line 2')
})

test('S-82 a caller has an owner, and one that may manage Latchstring an end', () => {
  refuses(CALLER.replace('    owner: me\n', ''), 'f.yaml:2:5: callers[0].owner: is missing')
  refuses(
    CALLER.replace('[read:', '[write:apps, read:'),
    'f.yaml:2:5: callers[0].expires: is missing: a caller with the scope write:apps',
  )
})

test('a moment may be given instead of a day', () => {
  for (const text of ['2027-06-01T12:00:00Z', '2027-06-01T14:00:00.000+02:00']) {
    assert.equal(read(`${CALLER}    expires: ${text}`).callers[0]?.expiresAt, Date.UTC(2027, 5, 1, 12))
  }
})

test('everything that is wrong is told at once, in the order of the lines', () => {
  const message = told(`providers:
  - {id: p, name: P, mode: oauth, issuer: "https://p.example"}
apps:
  - {key_code_ref: a, provider: p, client_id: 5}
  - {key_code_ref: b, provider: q, client_id: x, client_secret: "\${env:NOPE}"}
callers:
  - {client_id: c, scopes: [x]}
more: 1
`)
  const lines = message.split('\n').map((line) => line.replace(/^f\.yaml:(\d+):\d+: (\S+):.*$/, '$1 $2'))
  assert.deepEqual(lines, [
    '2 providers[0].mode',
    '4 apps[0].client_id',
    '5 apps[1].provider',
    '5 apps[1].client_secret',
    '7 callers[0].owner',
    '7 callers[0].scopes[0]',
    '8 more',
  ])
})

test("an app is not blamed for a provider's mistake", () => {
  const message = told('providers: [{id: p, name: P, mode: x, config: 5}]\napps: [{key_code_ref: a, provider: p, client_id: x}]')
  assert.doesNotMatch(message, /apps/)
})

test('no secret is in any message, wherever it stands', () => {
  const message =
    told(`${APP.replace('client_secret: y', 'client_secret: [hush-3]').replace('key_code_ref: a', 'key_code_ref: "${env:LOCAL_SECRET} "')}
    callback_url: http://x.example/\${env:LOCAL_SECRET}
    user_binding: \${env:LOCAL_SECRET}
    tenant: \${env:KEY}
${CALLER}    client_secret: hush-4
    expires: \${env:LOCAL_SECRET}
`)
  assert.doesNotMatch(message, /hush/)
  assert.equal(message.split('\n').length, 7)
  assert.doesNotMatch(told(APP.replace('provider: plain', 'provider: ${env:BACKEND_SECRET}')), /aaaa/)
})

test('one of one’s own comes before one of the catalogue', () => {
  const own = 'providers: [{id: plain, name: Mine, mode: oauth2, issuer: "https://mine.example", client_auth: none}]\n'
  assert.equal(read(`${own}apps: [{key_code_ref: a, provider: plain, client_id: x}]`).apps[0]?.name, 'Mine')
})

test('a file that is not there is told as such', async () => {
  await assert.rejects(readSetup('/nowhere/latchstring.yaml', {}, catalog), {
    name: 'CatalogError',
    message: '/nowhere/latchstring.yaml: is not there',
  })
})

test('apps and callers of requests are checked the same way, without lines', () => {
  const app = { key_code_ref: 'a', provider: 'plain', client_id: 'x', client_secret: '${env:LOCAL_SECRET}' }
  // What comes in a request is never looked up in our environment.
  assert.equal(checkApp(app, catalog, 'body').clientSecret?.reveal(), '${env:LOCAL_SECRET}')
  assert.throws(() => checkApp({ ...app, scope: [] }, catalog, 'body'), {
    message: 'body: scope: is unknown: did you mean scopes?',
  })
  assert.equal(checkCaller({ client_id: 'b', owner: 'me', scopes: ['read:connected_apps'] }, 'body').owner, 'me')
  assert.throws(() => checkCaller(null, 'body'), CatalogError)
})

function read(text: string) {
  return readSetupText(text, 'f.yaml', ENV, catalog)
}

function refuses(text: string, expected: string): void {
  const message = told(text)
  assert.ok(message.includes(expected), `${message}\nhas no\n${expected}`)
}

function told(text: string): string {
  try {
    read(text)
  } catch (error) {
    if (error instanceof CatalogError) return error.message
    throw error
  }
  return assert.fail('nothing was found wrong')
}
