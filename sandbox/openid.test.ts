/** OpenID Connect: discovery, keys, id_tokens (true and false ones) and userinfo; and pushed requests. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose'
import { ask, authorizeUrl, CALLBACK, codeFor, connected, opened, post, redeem, renew, tokensIn } from './practice-app.ts'
import type { Sandbox } from './sandbox.ts'

const OPENID = { scope: 'openid email', nonce: 'n-1' }

async function idToken(sandbox: Sandbox): Promise<string> {
  return String((await redeem(sandbox, await codeFor(sandbox, OPENID))).json['id_token'])
}

async function verify(sandbox: Sandbox, token: string) {
  const keys = (await ask(sandbox, '/jwks')).json as unknown as JSONWebKeySet
  return jwtVerify(token, createLocalJWKSet(keys), { issuer: sandbox.url, audience: 'sandbox-app' })
}

test('both discovery documents name the endpoints, which exist', async (t) => {
  const sandbox = await opened(t)
  const { json, status } = await ask(sandbox, '/.well-known/openid-configuration')
  assert.equal(status, 200)
  assert.equal(json['issuer'], sandbox.url)
  assert.deepEqual((await ask(sandbox, '/.well-known/oauth-authorization-server')).json, json)
  const endpoints = Object.entries(json).filter(([name]) => name.endsWith('_endpoint') || name === 'jwks_uri')
  assert.equal(endpoints.length, 7)
  for (const [name, url] of endpoints) assert.notEqual((await fetch(String(url))).status, 404, name)
})

test('discovery follows the switches', async (t) => {
  const sandbox = await opened(t)
  const document = async () => (await ask(sandbox, '/.well-known/openid-configuration')).json
  const promises = async () => (await document())['authorization_response_iss_parameter_supported']
  assert.deepEqual((await document())['code_challenge_methods_supported'], ['S256'])
  assert.equal(await promises(), false)
  sandbox.control.set({ pkce: 'refused', iss: 'missing', require_par: true })
  assert.equal('code_challenge_methods_supported' in (await document()), false)
  assert.equal(await promises(), true)
  assert.equal((await document())['require_pushed_authorization_requests'], true)
  sandbox.control.set({ iss: 'unadvertised' })
  assert.equal(await promises(), false)
})

test('openid brings an id_token that verifies and carries nonce, subject and e-mail', async (t) => {
  const sandbox = await opened(t)
  const { payload, protectedHeader } = await verify(sandbox, await idToken(sandbox))
  assert.equal(protectedHeader.alg, 'RS256')
  const { nonce, sub, email, name } = payload
  assert.deepEqual({ nonce, sub, email, name }, { nonce: 'n-1', sub: 'ada', email: 'ada@sandbox.example', name: 'Ada Lovelace' })
  assert.equal(payload.exp! - payload.iat!, 3600)
})

test('a renewal of an openid grant brings an id_token too, and without openid there is none', async (t) => {
  const sandbox = await opened(t)
  const { refresh } = tokensIn(await redeem(sandbox, await codeFor(sandbox, OPENID)))
  await verify(sandbox, String((await renew(sandbox, refresh)).json['id_token']))
  assert.equal('id_token' in (await redeem(sandbox, await codeFor(sandbox))).json, false)
})

test('each false id_token has exactly the fault it is named after', async (t) => {
  const sandbox = await opened(t)
  const told = async (id_token: NonNullable<Parameters<Sandbox['control']['set']>[0]['id_token']>): Promise<string> => {
    sandbox.control.set({ id_token })
    return idToken(sandbox)
  }
  assert.notEqual((await verify(sandbox, await told('wrong_nonce'))).payload['nonce'], 'n-1')
  await assert.rejects(verify(sandbox, await told('wrong_audience')), { claim: 'aud' })
  await assert.rejects(verify(sandbox, await told('wrong_issuer')), { claim: 'iss' })
  await assert.rejects(verify(sandbox, await told('expired')), { code: 'ERR_JWT_EXPIRED' })
  await assert.rejects(verify(sandbox, await told('wrong_key')), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' })
  const unsigned = await told('unsigned')
  assert.equal(decodeProtectedHeader(unsigned).alg, 'none')
  assert.equal(decodeJwt(unsigned).sub, 'ada')
  assert.equal(await told('missing'), 'undefined')
})

test('userinfo agrees with the id_token, and an app without a user has none', async (t) => {
  const sandbox = await opened(t)
  const get = (access: string) => ask(sandbox, '/userinfo', { headers: { authorization: `Bearer ${access}` } })
  const { access } = await connected(sandbox, OPENID)
  assert.deepEqual((await get(access)).json, {
    sub: 'ada',
    name: 'Ada Lovelace',
    email: 'ada@sandbox.example',
    email_verified: true,
  })
  const machine = tokensIn(await post(sandbox, '/token', { grant_type: 'client_credentials' }))
  assert.equal((await get(machine.access)).status, 403)
})

test('a pushed request stands for its parameters, once, for its app, for a minute', async (t) => {
  const sandbox = await opened(t)
  const push = async (): Promise<string> => {
    const fields = { response_type: 'code', redirect_uri: CALLBACK, state: 'pushed', scope: 'files.read', prompt: 'login' }
    const { status, json } = await post(sandbox, '/par', fields)
    assert.equal(status, 201)
    assert.equal(json['expires_in'], 60)
    return String(json['request_uri'])
  }
  const url = (request_uri: string, client_id = 'sandbox-app') =>
    `${sandbox.url}/authorize?${new URLSearchParams({ client_id, request_uri }).toString()}`
  const uri = await push()
  await assert.rejects(sandbox.walk(url(uri, 'sandbox-public')), /another app/)
  const back = await sandbox.walk(url(uri))
  assert.equal(back.searchParams.get('state'), 'pushed')
  assert.equal((await redeem(sandbox, back.searchParams.get('code')!)).status, 200)
  await assert.rejects(sandbox.walk(url(uri)), /used/)
  const denied = await push()
  assert.equal((await sandbox.walk(url(denied), { decision: 'deny' })).searchParams.get('error'), 'access_denied')
  await assert.rejects(sandbox.walk(url(denied)), /used/)
  const late = await push()
  sandbox.control.advance(60)
  await assert.rejects(sandbox.walk(url(late)), /too old/)
  await assert.rejects(sandbox.walk(url('urn:made:up')), /unknown/)
})

test('par refuses at once what authorize would refuse later', async (t) => {
  const sandbox = await opened(t)
  const error = async (fields: Record<string, string>) => (await post(sandbox, '/par', fields)).json['error']
  assert.equal(await error({ response_type: 'token', redirect_uri: CALLBACK }), 'unsupported_response_type')
  assert.equal(await error({ response_type: 'code', redirect_uri: 'nowhere' }), 'invalid_request')
  assert.equal(await error({ response_type: 'code', redirect_uri: CALLBACK, request_uri: 'urn:x' }), 'invalid_request')
})

test('require_par refuses a request that was not pushed', async (t) => {
  const sandbox = await opened(t, { require_par: true })
  await assert.rejects(sandbox.walk(authorizeUrl(sandbox)), /must push its request/)
})
