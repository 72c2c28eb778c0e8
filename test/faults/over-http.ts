/** What a caller and a browser do with a broker in another process: set up, log in, connect an account. */

import type { Sandbox } from '../../sandbox/sandbox.ts'
import type { BrokerProcess } from './broker-process.ts'

const SECRET = 'f'.repeat(44)

/** The text of a `latchstring.yaml`: JSON is YAML. */
export function setupFor(sandbox: Sandbox, tokenUrl: string): string {
  const app = {
    ...sandbox.app(),
    key_code_ref: 'faults',
    callback_url: 'http://127.0.0.1:9/app/callback',
    user_binding: 'none',
  }
  const caller = {
    client_id: 'backend',
    client_secret: SECRET,
    scopes: ['read:connected_apps', 'create:connected_apps'],
    owner: 'ops@example.com',
    expires: '2100-01-01',
  }
  return JSON.stringify({ providers: [sandbox.provider({ token_url: tokenUrl })], apps: [app], callers: [caller] })
}

/** The caller's bearer token. */
export async function login(broker: BrokerProcess): Promise<string> {
  const form = { grant_type: 'client_credentials', client_id: 'backend', client_secret: SECRET }
  const { text } = await broker.ask('/oauth2/token', { form })
  return (JSON.parse(text) as { access_token: string }).access_token
}

/** The session of an account that was connected. `away`: called when the user has consented and is not back yet. */
export async function connect(broker: BrokerProcess, bearer: string, away: () => void = () => {}): Promise<string> {
  const query = new URLSearchParams({ key_code_ref: 'faults', user_id: 'user' })
  const { text } = await broker.ask(`/api/v1/connected_apps/auth_url?${query.toString()}`, { bearer })
  const { url, session_id: session } = JSON.parse(text) as { url?: string; session_id?: string }
  if (url === undefined || session === undefined) throw new Error(`auth_url answered ${text}`)
  const back = (await fetch(url, { redirect: 'manual' })).headers.get('location') ?? ''
  away()
  const { pathname, search } = new URL(back)
  const { location } = await broker.ask(pathname + search)
  if (location === null || new URL(location).searchParams.has('error')) throw new Error(`not connected: ${location}`)
  return session
}
