/** What somebody who writes a provider file is told, mistake by mistake. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkProvider, loadCatalog, readCatalog } from './load.ts'
import { CatalogError } from './mistake.ts'

const ACME = `id: acme
name: Acme
mode: oauth2
docs: [https://acme.example/oauth]
checked: 2026-11-23
authorize_url: https://{host}.acme.example/authorize
token_url: https://{host}.acme.example/token
config: {host: {title: Host}}
hosts: [api.acme.example]
`

test('a file that is right becomes a provider', () => {
  const acme = readCatalog([{ name: 'providers/acme.yaml', text: ACME }]).get('acme')
  assert.equal(acme?.token_url, 'https://{host}.acme.example/token')
  assert.deepEqual(acme.config, { host: { title: 'Host' } })
})

const WRONG: readonly [string, string, string][] = [
  ['an unknown field', 'token_urll: x', 'acme.yaml:10:1: token_urll: is unknown'],
  ['a mistyped field', 'refesh_url: https://a.example/', 'acme.yaml:10:1: refesh_url: is unknown: did you mean refresh_url?'],
  ['an unknown field inside', 'revoke: {methd: POST}', 'acme.yaml:10:10: revoke.methd: is unknown: did you mean method?'],
  [
    'a value that is none of the allowed',
    'client_auth: baisc',
    'acme.yaml:10:14: client_auth: must be one of basic, basic_encoded, post,',
  ],
  ['the allowed one that was meant', 'client_auth: baisc', 'did you mean basic?'],
  ['a separator that is none', 'scopes: {separator: ";"}', "acme.yaml:10:21: scopes.separator: must be one of ' ', ,, +"],
  ['a number for text', 'answer_at: 5', 'acme.yaml:10:12: answer_at: must be text, not a number: put it in quotes'],
  ['text for a list', 'keep_from_answer: x', 'acme.yaml:10:19: keep_from_answer: must be a list, not text'],
  ['a list for fields', 'expires: [1]', 'acme.yaml:10:10: expires: must be a map of fields, not a list'],
  ['text for a truth', 'pkce: "no"', 'acme.yaml:10:7: pkce: must be true or false, not text'],
  ['nothing at all', 'revoke:', 'acme.yaml:10:8: revoke: must be a map of fields, not nothing'],
  ['an empty text', 'answer_at: ""', 'acme.yaml:10:12: answer_at: must not be empty'],
  ['a scope with a space', 'scopes: {default: [a b]}', 'acme.yaml:10:20: scopes.default[0]: must be one scope'],
  ['a scope that stands twice', 'scopes: {default: [a, b, a]}', 'acme.yaml:10:20: scopes.default[0]: stands here twice'],
  ['a path that is none', 'answer_at: a..b', 'acme.yaml:10:12: answer_at: must be a dotted path'],
  ['a path into a prototype', 'answer_at: a.__proto__', 'acme.yaml:10:12: answer_at: must be a dotted path'],
  ['a window without a unit', 'rotation: {window: "300"}', 'acme.yaml:10:20: rotation.window: must be seconds, such as 300s'],
  ['a life in disuse without days', 'refresh_token_idle: "60"', 'acme.yaml:10:21: refresh_token_idle: must be days, such as 60d'],
  ['a window of nothing', 'rotation: {window: 0s}', 'acme.yaml:10:20: rotation.window: must be seconds'],
  ['a window of months', 'rotation: {window: 9000000s}', 'acme.yaml:10:20: rotation.window: must be 30 days at most'],
  [
    'a header of ours',
    'token_headers: {authorization: x}',
    'acme.yaml:10:17: token_headers.authorization: is set for every request',
  ],
  ['a header that is none', 'api_headers: {"a b": x}', 'acme.yaml:10:15: api_headers.a b: is no header name'],
  [
    'a header of two lines',
    'api_headers: {a: "x\\r\\ny: z"}',
    'acme.yaml:10:18: api_headers.a: must be printable ASCII on one line',
  ],
  [
    'a parameter of ours',
    'authorize_params: {state: x}',
    'acme.yaml:10:20: authorize_params.state: is computed for every request',
  ],
  [
    'a standard parameter that is none',
    'param_names: {clientid: x}',
    'acme.yaml:10:15: param_names.clientid: is no standard parameter: did you mean client_id?',
  ],
  [
    'a standard parameter that is none, of a revocation',
    'revoke_url: https://acme.example/revoke\nrevoke: {param_names: {clientid: x}}',
    'acme.yaml:11:24: revoke.param_names.clientid: is no standard parameter: did you mean client_id?',
  ],
  [
    'a host with a scheme',
    'probe: {url: "https://x.example/"}\nkeep_from_callback: [""]',
    'acme.yaml:11:22: keep_from_callback[0]: must not be empty',
  ],
  ['an expected iss without an issuer', 'iss: required', 'acme.yaml:10:6: iss: needs issuer'],
  ['pushed requests to nowhere', 'require_par: true', 'acme.yaml:10:14: require_par: needs par_url'],
  ['a revocation to nowhere', 'revoke: {token: access}', 'acme.yaml:10:9: revoke: needs revoke_url'],
  ['a status that is none', 'revoke: {ok: [20]}', 'acme.yaml:10:15: revoke.ok[0]: must be >= 200'],
  [
    'a placeholder that nobody declared',
    'revoke_url: https://{hots}.acme.example/',
    'acme.yaml:10:13: revoke_url: has the placeholder {hots}, which config does not declare: did you mean {host}?',
  ],
  ['an issuer with a query', 'issuer: https://acme.example/?a=b', 'acme.yaml:10:9: issuer: must not have a query'],
  [
    'a token among what applications are told',
    'keep_from_answer: [team.id, authed_user.refresh_token]',
    'acme.yaml:10:29: keep_from_answer[1]: is a secret, and applications read what is kept: it stays with us',
  ],
  [
    'a code among what applications are told',
    'keep_from_callback: [realmId, code]',
    'acme.yaml:10:31: keep_from_callback[1]: is a secret',
  ],
  [
    'something to post that is no JSON',
    'probe: {url: "https://x.example/", post: "{viewer}"}',
    'acme.yaml:10:42: probe.post: must be JSON, in quotes',
  ],
  [
    'a discovery document in the place of its issuer',
    'issuer: https://acme.example/.well-known/openid-configuration',
    'acme.yaml:10:9: issuer: is where its discovery document is',
  ],
]

for (const [what, line, expected] of WRONG) {
  test(`refuses ${what}, with its line`, () => {
    const message = told(`${ACME}${line}\n`)
    assert.ok(message.includes(expected), `${message}\nhas no\n${expected}`)
  })
}

const CHANGED: readonly [string, string, string, string][] = [
  ['another id than the file is called', 'id: acme', 'id: acne', 'acme.yaml:1:5: id: must be acme, as the file is called'],
  ['an id with a capital', 'id: acme', 'id: Acme', 'acme.yaml:1:5: id: must be small letters'],
  ['a mode that there is not', 'mode: oauth2', 'mode: oauth', 'acme.yaml:3:7: mode: must be one of oauth2: did you mean oauth2?'],
  ['no name', 'name: Acme\n', '', 'acme.yaml:1:1: name: is missing'],
  [
    'no token URL and no issuer',
    'token_url: https://{host}.acme.example/token\n',
    '',
    'acme.yaml:1:1: token_url: is missing: give authorize_url and token_url, or issuer alone',
  ],
  ['no day of comparison', 'checked: 2026-11-23\n', '', 'acme.yaml:1:1: checked: is missing: a file of the catalogue says it'],
  ['a day that does not exist', '2026-11-23', '2026-02-30', 'acme.yaml:5:10: checked: must be a day that exists'],
  ['something that is no day', '2026-11-23', 'yesterday', 'acme.yaml:5:10: checked: must be a date, YYYY-MM-DD'],
  ['documentation over http', '[https:', '[http:', 'acme.yaml:4:8: docs[0]: must be an https:// URL'],
  [
    'a value that no URL takes',
    '{host: {title: Host}}',
    '{host: {title: Host}, spare: {title: Spare}}',
    'acme.yaml:8:31: config.spare: is in no URL',
  ],
  [
    'a declared client id',
    '{host: {title: Host}}',
    '{host: {title: Host}, client_id: {title: Id}}',
    'acme.yaml:8:31: config.client_id: is always the client id',
  ],
  [
    'a pattern that does not compile',
    '{title: Host}',
    '{title: Host, pattern: "("}',
    'acme.yaml:8:39: config.host.pattern: is no regular expression',
  ],
  [
    'a default that its pattern refuses',
    '{title: Host}',
    '{title: Host, pattern: "[a-z]+", default: "1"}',
    'acme.yaml:8:58: config.host.default: must match [a-z]+',
  ],
  [
    'an example that could not be used',
    '{title: Host}',
    '{title: Host, example: a/b}',
    'acme.yaml:8:39: config.host.example: must be a host name',
  ],
  ['a host that is a URL', '[api.acme.example]', '[https://api.acme.example/]', 'acme.yaml:9:9: hosts[0]: must be a host name'],
]

for (const [what, before, after, expected] of CHANGED) {
  test(`refuses ${what}, with its line`, () => {
    assert.ok(ACME.includes(before))
    const message = told(ACME.replace(before, after))
    assert.ok(message.includes(expected), `${message}\nhas no\n${expected}`)
  })
}

test('S-37 a provider whose URLs are not https is refused, whichever of them it is', () => {
  const bad = 'http://acme.example/x'
  for (const field of ['issuer', 'refresh_url', 'revoke_url', 'par_url', 'jwks_url']) {
    assert.match(told(`${ACME}${field}: ${bad}\n`), new RegExp(`acme\\.yaml:10:\\d+: ${field}: must begin with https://`))
  }
  for (const field of ['identity: {id: x, url: "', 'probe: {url: "'])
    assert.match(told(`${ACME}${field}${bad}"}\n`), /url: must begin with https:\/\//)
  for (const url of ['https://{host}.acme.example/authorize', 'https://{host}.acme.example/token']) {
    assert.match(told(ACME.replace(url, bad)), /acme\.yaml:[67]:\d+: \w+: must begin with https:\/\//)
  }
  const local = ACME.replaceAll('https://{host}.acme.example', 'http://127.0.0.1:4999').replace(
    'config: {host: {title: Host}}\n',
    '',
  )
  assert.equal(readCatalog([{ name: 'acme.yaml', text: local }]).size, 1)
})

test('all mistakes of all files are told at once, in the order of the lines', () => {
  const message = toldOf([
    { name: 'b.yaml', text: ACME.replace('mode: oauth2', 'mode: x').replace('[api.acme.example]', '5') },
    { name: 'a.yaml', text: 'nonsense' },
  ])
  assert.deepEqual(
    message.split('\n').map((line) => line.split(':').slice(0, 2).join(':')),
    ['a.yaml:1', 'b.yaml:1', 'b.yaml:3', 'b.yaml:9'],
  )
})

test('a folder is read whole: its YAML files, and nothing else', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'catalog-'))
  try {
    await writeFile(join(folder, 'README.md'), '# not a provider')
    await writeFile(join(folder, 'acme.yaml'), ACME)
    assert.deepEqual([...(await loadCatalog(folder)).keys()], ['acme'])
    await writeFile(join(folder, 'broken.yaml'), 'id: [')
    await assert.rejects(
      loadCatalog(folder),
      (error) => error instanceof CatalogError && error.message.includes('broken.yaml:1:'),
    )
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a provider that came in a request is checked the same way, without lines', () => {
  const own = { id: 'own', name: 'Own', mode: 'oauth2', issuer: 'https://id.example' }
  assert.deepEqual(checkProvider(own, 'body'), own)
  assert.throws(() => checkProvider({ ...own, issuer: 'http://id.example' }, 'body'), {
    message: /^body: issuer: must begin with https/,
  })
  for (const nonsense of [null, 5, 'x', [], { ...own, config: JSON.parse('{"__proto__": {"title": "x"}}') }]) {
    assert.throws(() => checkProvider(nonsense, 'body'), CatalogError, JSON.stringify(nonsense))
  }
})

function told(text: string): string {
  return toldOf([{ name: 'acme.yaml', text }])
}

function toldOf(files: Parameters<typeof readCatalog>[0]): string {
  try {
    readCatalog(files)
  } catch (error) {
    if (error instanceof CatalogError) return error.message
    throw error
  }
  return assert.fail('nothing was found wrong')
}
