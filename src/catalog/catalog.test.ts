/** The catalogue itself: what a user may rely on for every provider in it. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { expandHosts, expandUrl } from '../core/provider-url.ts'
import { readSetupText } from './file.ts'
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
  // What people ask for beside these.
  ...['airtable', 'asana', 'box', 'calendly', 'canva', 'docusign', 'dropbox', 'figma', 'linear'],
  ...['linkedin', 'miro', 'pipedrive', 'quickbooks', 'spotify', 'todoist', 'x', 'zoom'],
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

test('the README names every provider, and nobody else', () => {
  const [, list = ''] = /\n\n((?:\[[^\]]+\]\(\S+\.yaml\)[ ·\n]*)+)\n/.exec(readFileSync(join(FOLDER, 'README.md'), 'utf8')) ?? []
  const named = [...list.matchAll(/\[([^\]]+)\]\((\S+)\.yaml\)/g)].map(([, name, id]) => `${id} ${name}`)
  assert.deepEqual(named.sort(), [...catalog.values()].map(({ id, name }) => `${id} ${name}`).sort())
})

test('a refresh token that must not be sent twice is known as such', () => {
  const windows = Object.fromEntries([...catalog].map(([id, { rotation }]) => [id, rotation?.window ?? null]))
  assert.deepEqual(windows, {
    airtable: 'none',
    asana: 'until_next_use',
    atlassian: '600s',
    box: 'none',
    calendly: 'none',
    canva: null,
    discord: null,
    docusign: null,
    dropbox: 'until_next_use',
    figma: null,
    github: 'none',
    gitlab: 'none',
    google: 'until_next_use',
    hubspot: null,
    linear: null,
    linkedin: 'until_next_use',
    microsoft: 'until_next_use',
    miro: 'none',
    notion: null,
    patreon: null,
    pipedrive: 'until_next_use',
    quickbooks: '86400s',
    salesforce: 'none',
    slack: null,
    'slack-user': null,
    spotify: null,
    todoist: null,
    x: null,
    xero: '1800s',
    zoom: 'none',
  })
})

test('a refresh token that dies of disuse is known as such', () => {
  const idle = [...catalog].flatMap(([id, { refresh_token_idle }]) => (refresh_token_idle ? [`${id} ${refresh_token_idle}`] : []))
  assert.deepEqual(idle, [
    ...['airtable 60d', 'atlassian 90d', 'box 60d', 'docusign 30d', 'github 180d', 'google 180d', 'microsoft 90d', 'miro 60d'],
    ...['pipedrive 60d', 'quickbooks 100d', 'xero 60d', 'zoom 90d'],
  ])
})

test('the examples of the README work as they stand there', () => {
  const readme = readFileSync(join(FOLDER, 'README.md'), 'utf8')
  const [own = '', example = ''] = [...readme.matchAll(/```yaml\n([^]*?)```/g)].map(([, block = '']) => block)
  const acme =
    readCatalog([{ name: 'acme.yaml', text: example.replaceAll(/^ {3}/gm, '') }]).get('acme') ??
    assert.fail('there is no example')
  assert.equal(expandUrl(acme, acme.token_url ?? '', { subdomain: 'widgets' }), 'https://widgets.acme.example/oauth/token')
  const setup = readSetupText(own, 'README.md', {}, catalog)
  assert.deepEqual(
    setup.providers.map(({ id }) => id),
    ['login'],
  )
})
