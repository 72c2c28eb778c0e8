/** Who is signed in, carried whole in a cookie under a MAC: the sandbox itself remembers no sessions. */

import { createHash } from 'node:crypto'
import type { Realm, User } from './realm.ts'
import type { Request } from './request.ts'

export interface Session {
  readonly user: User
  /** Proves that a form was made for this session (and so that no other site posted it). */
  readonly formKey: string
}

/** Browsers share cookies between the ports of one host, so two sandboxes need two names. */
const cookieName = (realm: Realm): string => `sandbox_${new URL(realm.url).port}`

export function sessionCookie(realm: Realm, user: User): string {
  const value = Buffer.from(JSON.stringify(user)).toString('base64url')
  // Lax: a Strict cookie would stay at home when the browser arrives from the app's site.
  return `${cookieName(realm)}=${value}.${realm.tokens.mac(`session ${value}`)}; Path=/; HttpOnly; SameSite=Lax`
}

export function sessionOf(realm: Realm, request: Request): Session | null {
  const name = `${cookieName(realm)}=`
  const cookie = request.headers.cookie?.split('; ').find((one) => one.startsWith(name))
  const [value, mac] = cookie?.slice(name.length).split('.') ?? []
  if (!value || realm.tokens.mac(`session ${value}`) !== mac) return null
  return { user: JSON.parse(Buffer.from(value, 'base64url').toString()), formKey: realm.tokens.mac(`form ${value}`) }
}

/** The account of that id, name or e-mail; a name nobody has yet becomes an account on the spot. */
export function userNamed(realm: Pick<Realm, 'users'>, typed: string): User | null {
  const name = typed.trim().slice(0, 80)
  if (!name) return null
  const same = (text: string): boolean => text.toLowerCase() === name.toLowerCase()
  const known = realm.users.find((user) => same(user.id) || same(user.name) || same(user.email))
  if (known) return known
  const plain = name
    .toLowerCase()
    .replaceAll(/[^a-z\d]+/g, '-')
    .replaceAll(/^-|-$/g, '')
  const id = plain || `user-${createHash('sha256').update(name).digest('hex').slice(0, 8)}`
  return { id, name, email: `${id}@sandbox.example` }
}
