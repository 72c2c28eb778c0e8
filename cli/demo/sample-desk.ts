/** What the sample app does with the broker, a function for each button: this is the code that an app of your own would have. */

import { createHash } from 'node:crypto'
import { type ConnectedAppsApi, readCallback } from '../../sdk/src/sdk.ts'
import { deniedBy, strangeConnection, type Trouble, troubleOf } from './sample-trouble.ts'
import type { Visitor } from './sample-visitors.ts'

export type BrokerApi = Pick<
  ConnectedAppsApi,
  'getConnectedAppAuthUrl' | 'getConnectedAppToken' | 'revokeConnectedAppToken' | 'complete'
>

/** What the app may show of a token. The token itself is asked for when it is needed, and not kept. */
export interface TokenGlimpse {
  readonly shortened: string
  readonly fingerprint: string
  readonly fetchedAt: Date
  /** Undefined for a token that does not end. */
  readonly endsAt: Date | undefined
}

export interface Connection {
  readonly sessionId: string
  /** Who the user is at the provider, where the provider tells. */
  readonly account: string | undefined
  readonly token: TokenGlimpse | undefined
  /** The provider turned it down: only the user can help. */
  readonly broken: boolean
}

export interface Desk {
  readonly api: BrokerApi
  readonly keyCodeRef: string
  readonly providerName: string
  /** The app's own table: which user has which connection. */
  readonly connections: Map<string, Connection>
}

/** Sends the user off: the address to go to, or undefined when there is none and the visitor has been told why. */
export function connect(desk: Desk, visitor: Visitor): Promise<string | undefined> {
  return telling(desk, visitor, async () => {
    const { user } = visitor
    const known = desk.connections.get(user.id)
    const { body } = await desk.api.getConnectedAppAuthUrl({
      key_code_ref: desk.keyCodeRef,
      user_id: user.id,
      // A broken connection keeps its id, and with it whatever the app filed under that id.
      session_id: known?.broken ? known.sessionId : undefined,
    })
    visitor.pending = { sessionId: body.session_id, userId: user.id }
    return body.url
  })
}

/** The user is back. Whoever is logged in *in this browser* gets the connection, or nobody does. */
export async function arrive(desk: Desk, visitor: Visitor, url: URL): Promise<void> {
  const { user, pending } = visitor
  await telling(desk, visitor, async () => {
    const { session_id, completion_code, error, error_description } = readCallback(url)
    const expected = pending?.sessionId === session_id && pending.userId === user.id
    if (expected) visitor.pending = undefined
    if (error !== undefined) {
      // The words of a link that this browser did not ask for are not repeated to the user.
      return tell(
        desk,
        visitor,
        expected ? deniedBy(desk.providerName, error, error_description) : strangeConnection(desk.providerName),
      )
    }
    let account: string | undefined
    if (completion_code !== undefined) {
      // The broker compares this user with the one the connection was begun for. That is the whole protection: the user comes
      // from our own login, never from the address.
      const { body } = await desk.api.complete({ session_id, completion_code, user_id: user.id })
      account = body.account?.label ?? undefined
      visitor.pending = undefined
    } else if (!expected) {
      return tell(desk, visitor, strangeConnection(desk.providerName))
    }
    desk.connections.set(user.id, { sessionId: session_id, account, token: undefined, broken: false })
    if (await lookAtToken(desk, visitor)) say(visitor, 'Connected', `${user.name}’s ${desk.providerName} account is connected.`)
  })
}

export async function getToken(desk: Desk, visitor: Visitor): Promise<void> {
  await telling(desk, visitor, async () => {
    const before = desk.connections.get(visitor.user.id)?.token
    const token = await lookAtToken(desk, visitor)
    if (!token) return
    if (before?.fingerprint === token.fingerprint)
      say(visitor, 'The same token', 'It still has life in it, so the broker handed out the one it has.')
    else say(visitor, 'A new token', 'The broker renewed it. Nobody had to be asked.')
  })
}

export async function disconnect(desk: Desk, visitor: Visitor): Promise<void> {
  await telling(desk, visitor, async () => {
    const connection = desk.connections.get(visitor.user.id)
    if (!connection) return
    await desk.api.revokeConnectedAppToken({ session_id: connection.sessionId })
    desk.connections.delete(visitor.user.id)
    say(visitor, 'Disconnected', `No more tokens for this app. The broker asks ${desk.providerName} to revoke the one it had.`)
  })
}

async function lookAtToken(desk: Desk, visitor: Visitor): Promise<TokenGlimpse | undefined> {
  const connection = desk.connections.get(visitor.user.id)
  if (!connection) return undefined
  const { body } = await desk.api.getConnectedAppToken({ session_id: connection.sessionId })
  const token = {
    shortened: shorten(body.access_token),
    fingerprint: createHash('sha256').update(body.access_token).digest('hex'),
    fetchedAt: new Date(),
    endsAt: body.access_token_expiry === undefined ? undefined : new Date(body.access_token_expiry),
  }
  desk.connections.set(visitor.user.id, { ...connection, token, broken: false })
  return token
}

/** Enough to recognise, too little to use. */
function shorten(token: string): string {
  const shown = Math.min(6, Math.floor(token.length / 6))
  return `${token.slice(0, shown)}…${token.slice(token.length - shown)}`
}

/** Does the work; when it fails, the visitor learns why in words, and the app remembers what that means for the connection. */
async function telling<Result>(desk: Desk, visitor: Visitor, work: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await work()
  } catch (error) {
    tell(desk, visitor, troubleOf(error, desk.providerName))
    return undefined
  }
}

function tell({ connections }: Desk, visitor: Visitor, { aftermath, ...notice }: Trouble): undefined {
  const connection = connections.get(visitor.user.id)
  if (aftermath === 'forget') connections.delete(visitor.user.id)
  if (aftermath === 'mend' && connection) connections.set(visitor.user.id, { ...connection, token: undefined, broken: true })
  visitor.notice = notice
}

function say(visitor: Visitor, title: string, text: string): void {
  visitor.notice = { kind: 'good', title, text }
}
