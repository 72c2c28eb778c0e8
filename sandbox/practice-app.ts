/** A small, correct OAuth app for the sandbox's own tests: it connects, renews and probes, and shows the raw answers. */

import { createHash } from 'node:crypto'
import type { TestContext } from 'node:test'
import { type Sandbox, type SandboxOptions, startSandbox } from './sandbox.ts'

export const CALLBACK = 'http://127.0.0.1:9/callback'
export const VERIFIER = 'a-verifier-of-at-least-forty-three-characters-0123'
export const CHALLENGE = createHash('sha256').update(VERIFIER).digest('base64url')
export const BASIC = basic('sandbox-app', 'sandbox-secret')

type Fields = Readonly<Record<string, string>>

export interface Reply {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The body as JSON, or an empty object. */
  readonly json: Readonly<Record<string, unknown>>
}

export function basic(id: string, secret: string): string {
  return `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`
}

/** A sandbox that is gone when the test is over. */
export async function opened(t: TestContext, options: SandboxOptions = {}): Promise<Sandbox> {
  const sandbox = await startSandbox(options)
  t.after(() => sandbox.close())
  return sandbox
}

export async function ask(sandbox: Sandbox, path: string, init: RequestInit = {}): Promise<Reply> {
  const response = await fetch(sandbox.url + path, { redirect: 'manual', ...init })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, json: parsed(text) }
}

export function post(sandbox: Sandbox, path: string, fields: Fields, headers: Fields = { authorization: BASIC }): Promise<Reply> {
  return ask(sandbox, path, { method: 'POST', headers, body: new URLSearchParams(fields) })
}

export function authorizeUrl(sandbox: Sandbox, changes: Readonly<Record<string, string | null>> = {}): string {
  const asked = {
    response_type: 'code',
    client_id: 'sandbox-app',
    redirect_uri: CALLBACK,
    state: 'xyz',
    scope: 'files.read',
    ...changes,
  }
  const params = Object.entries(asked).filter((pair): pair is [string, string] => pair[1] !== null)
  return `${sandbox.url}/authorize?${new URLSearchParams(params).toString()}`
}

/** Where the browser goes from the authorize endpoint, the user having said yes. */
export function approved(sandbox: Sandbox, changes: Readonly<Record<string, string | null>> = {}): Promise<URL> {
  return sandbox.walk(authorizeUrl(sandbox, changes))
}

export async function codeFor(sandbox: Sandbox, changes: Readonly<Record<string, string | null>> = {}): Promise<string> {
  return (await approved(sandbox, changes)).searchParams.get('code') ?? ''
}

export function redeem(sandbox: Sandbox, code: string, more: Fields = {}, headers?: Fields): Promise<Reply> {
  return post(sandbox, '/token', { grant_type: 'authorization_code', code, redirect_uri: CALLBACK, ...more }, headers)
}

export interface Tokens {
  readonly access: string
  readonly refresh: string
}

/** Consent and code exchange, the short way. */
export async function connected(sandbox: Sandbox, changes: Readonly<Record<string, string | null>> = {}): Promise<Tokens> {
  return tokensIn(await redeem(sandbox, await codeFor(sandbox, changes)))
}

export function renew(sandbox: Sandbox, refresh: string, more: Fields = {}): Promise<Reply> {
  return post(sandbox, '/token', { grant_type: 'refresh_token', refresh_token: refresh, ...more })
}

export function tokensIn({ json }: Reply): Tokens {
  return { access: String(json['access_token']), refresh: String(json['refresh_token']) }
}

/** The status that the probe gives an access token: 200 alive, 401 dead. */
export async function probe(sandbox: Sandbox, access: string): Promise<number> {
  return (await ask(sandbox, '/api/me', { headers: { authorization: `Bearer ${access}` } })).status
}

function parsed(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}
