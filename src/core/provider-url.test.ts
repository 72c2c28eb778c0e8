/** No value that an app gives can make a provider's URL lead somewhere else. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Provider } from './provider.ts'
import { expandHosts, expandUrl, fieldProblem, placeholderProblem, placeholders, urlProblem } from './provider-url.ts'

const WHOLE = 'https://{hostname}/oauth/token'
const PART = 'https://{subdomain}.zendesk.com/oauth/token'
const SEGMENT = 'https://login.example/{tenant}/token'

test('placeholders are filled from the app, or else from the default', () => {
  const gitlab = provider({ hostname: { title: 'Host', default: 'gitlab.com' } })
  assert.equal(expandUrl(gitlab, WHOLE, {}), 'https://gitlab.com/oauth/token')
  assert.equal(expandUrl(gitlab, WHOLE, { hostname: 'git.example.org:8443' }), 'https://git.example.org:8443/oauth/token')
  assert.equal(
    expandUrl(gitlab, 'https://x.example/{client_id}/{client_id}', { client_id: 'Iv1.8a' }),
    'https://x.example/Iv1.8a/Iv1.8a',
  )
  assert.deepEqual(placeholders('https://{a}.x/{b}/{a}'), ['a', 'b'])
})

test('a value that nobody gave is named in the error', () => {
  assert.throws(() => expandUrl(provider({ tenant: { title: 'Tenant' } }), SEGMENT, {}), {
    code: 'CONNECT_FAILED',
    message: /what tenant is/,
  })
  // Not what every object has.
  assert.throws(() => expandUrl(provider({}), 'https://x.example/{constructor}', {}), { code: 'CONNECT_FAILED' })
})

const HOSTILE = [
  'evil.com#',
  'evil.com/',
  'evil.com/x',
  'a.b/..',
  '..',
  '.',
  '',
  'a..b',
  '.a',
  'a.',
  '@',
  'good@evil.com',
  'evil.com?',
  'evil.com\\',
  'evil.com%2f',
  'evil.com%00',
  'a\r\nHost: evil.com',
  'a\n',
  'a b',
  '\ta',
  'аpple', // a Cyrillic letter
  '{hostname}',
  '[::1]',
  '-a',
]

for (const url of [WHOLE, PART, SEGMENT]) {
  test(`S-43 nothing but a name gets into ${url}`, () => {
    const name = placeholders(url)[0] ?? ''
    for (const value of HOSTILE.filter((hostile) => url !== SEGMENT || hostile !== '-a')) {
      assert.notEqual(placeholderProblem(url, name, value), null, JSON.stringify(value))
      assert.throws(() => expandUrl(provider({ [name]: { title: 'x' } }), url, { [name]: value }), { code: 'CONNECT_FAILED' })
    }
  })
}

test('S-43 a port or userinfo cannot be slipped into a part of a host', () => {
  assert.notEqual(placeholderProblem(PART, 'subdomain', 'evil.com:443'), null)
  assert.notEqual(placeholderProblem('https://api.{region}', 'region', 'example.com:443'), null)
  assert.equal(placeholderProblem(PART, 'subdomain', 'acme--dev.sandbox'), null)
})

test('S-43 whatever the value, a filled URL stays at the host and path that the file says, or is refused', () => {
  const value = fc.oneof(fc.string(), fc.stringMatching(/^[a-zA-Z0-9.:@/#?%\\{}-]{0,30}$/))
  fc.assert(
    fc.property(value, (text) => {
      const subdomain = filled(PART, { subdomain: text })
      if (subdomain !== null) {
        const { hostname, pathname, username, port, hash } = new URL(subdomain)
        assert.ok(
          hostname.endsWith('.zendesk.com') && pathname === '/oauth/token' && username === '' && port === '' && hash === '',
        )
      }
      const tenant = filled(SEGMENT, { tenant: text })
      if (tenant !== null) {
        const { host, pathname, search, hash } = new URL(tenant)
        assert.ok(host === 'login.example' && pathname === `/${text}/token` && search === '' && hash === '')
      }
    }),
    { numRuns: 2000 },
  )
})

test('hosts are filled like URLs', () => {
  const own = { ...provider({ hostname: { title: 'Host' } }), hosts: ['{hostname}', '*.example.com'] }
  assert.deepEqual(expandHosts(own, { hostname: 'git.example.org' }), ['git.example.org', '*.example.com'])
})

test('S-37 provider URLs are https, and http for loopback addresses only', () => {
  for (const url of [
    'https://x.example/a',
    'http://127.0.0.1:4999/a',
    'http://localhost:1/a',
    'http://[::1]:1/a',
    'https://{host}/a?b=c',
  ]) {
    assert.equal(urlProblem(url), null, url)
  }
  for (const url of [
    'http://x.example/a',
    'http://{host}/a',
    'http://127.0.0.1.evil.com/',
    'http://10.0.0.1/',
    'http://localhost.evil.com/',
  ]) {
    assert.match(urlProblem(url) ?? '', /loopback addresses only/, url)
  }
  for (const url of [
    'javascript:alert(1)',
    'ftp://x.example',
    '//x.example/a',
    '/a',
    'x.example',
    'https:x.example',
    'https:///x',
    'file:///a',
  ]) {
    assert.match(urlProblem(url) ?? '', /absolute URL/, url)
  }
  assert.match(urlProblem('https://me:pw@x.example/') ?? '', /user name/)
  assert.match(urlProblem('https://@x.example/') ?? '', /user name/)
  assert.match(urlProblem('https://x.example/#a') ?? '', /fragment/)
  assert.match(urlProblem('https://x.example/a b') ?? '', /spaces/)
  assert.match(urlProblem('https://{Host}/a') ?? '', /brace/)
})

test('a field may narrow its values further', () => {
  assert.equal(fieldProblem({ title: 'Region', enum: ['eu', 'us'] }, 'eu'), null)
  assert.match(fieldProblem({ title: 'Region', enum: ['eu', 'us'] }, 'asia') ?? '', /one of eu, us/)
  assert.equal(fieldProblem({ title: 'Host', pattern: 'a|b' }, 'b'), null)
  assert.match(fieldProblem({ title: 'Host', pattern: 'a|b', example: 'a' }, 'bc') ?? '', /must match a\|b, such as a/)
})

function provider(config: NonNullable<Provider['config']>): Provider {
  return { id: 'p', name: 'P', mode: 'oauth2', config }
}

function filled(url: string, config: Record<string, string>): string | null {
  try {
    return expandUrl(provider({ subdomain: { title: 's' }, tenant: { title: 't' } }), url, config)
  } catch {
    return null
  }
}
