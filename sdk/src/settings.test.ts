/** Where a client turns to and as whom, by what it was made with. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ArgumentError, type Configuration, ConnectedAppsApi } from './sdk.ts'

test('without host and business name it is the hosted service', () => {
  assert.equal(new ConnectedAppsApi({ accessToken: 'x' }).host, 'https://app.kinde.com')
})

test('a business name gives its host', () => {
  assert.equal(new ConnectedAppsApi({ businessName: 'acme', accessToken: 'x' }).host, 'https://acme.kinde.com')
})

test('host and token may be given at once', () => {
  assert.equal(new ConnectedAppsApi({ host: 'http://localhost:4400', accessToken: 'x' }).host, 'http://localhost:4400')
})

const CLIENT = { clientId: 'backend', clientSecret: 'secret-1' }

const REFUSED: readonly (readonly [string, unknown, RegExp])[] = [
  ['nothing', undefined, /takes an object/],
  ['no credentials', {}, /needs accessToken, or clientId and clientSecret/],
  ['half of the client credentials', { clientId: 'backend' }, /needs accessToken, or clientId and clientSecret/],
  ['a token and client credentials', { accessToken: 'secret-1', ...CLIENT }, /not both/],
  ['a token and scopes', { accessToken: 'secret-1', scopes: ['read:connected_apps'] }, /not both/],
  ['host and business name', { host: 'https://a.example', businessName: 'acme', accessToken: 'x' }, /not both/],
  ['a business name that is a host', { businessName: 'evil.example/', accessToken: 'x' }, /the acme of https:\/\/acme.kinde.com/],
  ['a host without scheme', { host: 'connect.example.com', accessToken: 'x' }, /https:\/\/connect.example.com/],
  ['a host that is no web address', { host: 'ftp://a.example', accessToken: 'x' }, /must look like/],
  ['a host with user and password', { host: 'https://me:secret-1@a.example', accessToken: 'x' }, /neither user/],
  ['a host with a query', { host: 'https://a.example/?a=1', accessToken: 'x' }, /neither user, query/],
  ['a host with an empty fragment', { host: 'https://a.example/#', accessToken: 'x' }, /nor fragment/],
  ['an unknown key', { access_token: 'secret-1' }, /there is no "access_token"; it takes/],
  ["a token with 'Bearer ' before it", { accessToken: 'Bearer secret-1' }, /without 'Bearer '/],
  ['a token with a line break', { accessToken: 'secret-1\n' }, /bare token/],
  ['an empty token', { accessToken: '' }, /bare token/],
  ['scopes as one string', { ...CLIENT, scopes: 'a b' }, /scopes must be a list of scopes/],
  ['a scope with a space in it', { ...CLIENT, scopes: ['a b'] }, /scopes must be a list of scopes/],
  ['a number of retries below zero', { ...CLIENT, retries: -1 }, /retries must be a whole number/],
  ['a timeout that is no number', { ...CLIENT, timeout: '1s' }, /timeout must be milliseconds/],
]

for (const [what, configuration, says] of REFUSED) {
  test(`a client with ${what} is refused, and told what is right`, () => {
    assert.throws(
      () => new ConnectedAppsApi(configuration as Configuration),
      (error: Error) => {
        assert(error instanceof ArgumentError)
        assert.match(error.message, says)
        assert.doesNotMatch(error.message, /secret-1/)
        return true
      },
    )
  })
}
