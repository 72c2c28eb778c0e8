/** The catalogue itself: what a user may rely on for every provider in it. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { expandHosts, expandUrl } from '../core/provider-url.ts'
import { loadCatalog, readCatalog } from './load.ts'
import { urlsOf } from './provider-rules.ts'

const FOLDER = join(import.meta.dirname, '../../providers')
const catalog = await loadCatalog(FOLDER)

const PROMISED = [
  'github',
  'gitlab',
  'google',
  'microsoft',
  'slack',
  'discord',
  'notion',
  'hubspot',
  'salesforce',
  'atlassian',
  'patreon',
  'xero',
]

test('the providers that the documentation promises are there, and every file is one', () => {
  for (const id of PROMISED) assert.ok(catalog.has(id), id)
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'))
  assert.deepEqual([...catalog.keys()].sort(), files.map((name) => name.replace('.yaml', '')).sort())
})

for (const provider of catalog.values()) {
  test(`${provider.name}: says where its values come from, where tokens may go, and whose account it is`, () => {
    const text = readFileSync(join(FOLDER, `${provider.id}.yaml`), 'utf8')
    assert.match(text, /^# yaml-language-server: \$schema=provider\.schema\.json\n/)
    assert.ok((provider.docs?.length ?? 0) > 0)
    assert.match(provider.checked ?? '', /^20\d\d-\d\d-\d\d$/)
    assert.ok((provider.hosts?.length ?? 0) > 0)
    assert.ok(provider.identity ?? provider.account_at)
    assert.ok(provider.probe?.dead?.includes(401))
    if (provider.pkce === false) assert.match(text, /#[^\n]*\npkce: false/, 'the reason stands above it')
    if (!provider.revoke_url) assert.match(text, /# .*No revocation endpoint/, 'that nothing can be revoked is said')
    if (!provider.rotation) assert.match(text, /# .*(documented|lifetime)/, 'why there is no window is said')
  })

  test(`${provider.name}: every URL leads to a host once an app has given what is asked`, () => {
    const examples = Object.entries(provider.config ?? {}).map(([name, field]) => [name, field.default ?? field.example ?? ''])
    const config = { ...Object.fromEntries(examples), client_id: 'client' }
    for (const { url } of urlsOf(provider)) assert.equal(new URL(expandUrl(provider, url, config)).protocol, 'https:')
    for (const host of expandHosts(provider, config)) assert.ok(URL.canParse(`https://${host.replace('*.', 'x.')}/`), host)
    const read = [provider.identity?.url, provider.probe?.url].flatMap((url) =>
      url ? [new URL(expandUrl(provider, url, config)).hostname] : [],
    )
    // The token goes to these, so they must be among the hosts that a token may go to.
    for (const host of read) assert.ok(allowed(host, [...expandHosts(provider, config), ...signedInAt(provider, config)]), host)
  })
}

/** An identity endpoint may be the authorization server's own, which has seen the token anyway. */
function signedInAt(provider: Parameters<typeof expandUrl>[0], config: Record<string, string>): string[] {
  return [provider.token_url ?? ''].map((url) => new URL(expandUrl(provider, url, config)).hostname)
}

function allowed(host: string, hosts: readonly string[]): boolean {
  return hosts.some((pattern) => (pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) : host === pattern))
}

test('a refresh token that must not be sent twice is known as such', () => {
  const windows = Object.fromEntries([...catalog].map(([id, { rotation }]) => [id, rotation?.window ?? null]))
  assert.deepEqual(windows, {
    atlassian: '600s',
    discord: null,
    github: 'none',
    gitlab: 'none',
    google: 'until_next_use',
    hubspot: null,
    microsoft: 'until_next_use',
    notion: null,
    patreon: null,
    salesforce: 'none',
    slack: null,
    'slack-user': null,
    xero: '1800s',
  })
})

test('the example of the README works as it stands there', () => {
  const readme = readFileSync(join(FOLDER, 'README.md'), 'utf8')
  const example = /```yaml\n([^]*?)```/.exec(readme)?.[1] ?? ''
  const acme =
    readCatalog([{ name: 'acme.yaml', text: example.replaceAll(/^ {3}/gm, '') }]).get('acme') ??
    assert.fail('there is no example')
  assert.equal(expandUrl(acme, acme.token_url ?? '', { subdomain: 'widgets' }), 'https://widgets.acme.example/oauth/token')
})
