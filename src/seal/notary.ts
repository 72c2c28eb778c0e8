/** Signs checkpoints of the history as compact JWS (RFC 7515), and verifies them with nothing but the public key. */

import { createPublicKey, type JsonWebKey, type KeyObject, sign, verify } from 'node:crypto'
import type { Notary } from '../core/ports.ts'

const TYPE = 'latchstring-checkpoint'

/** Ed25519. `kid` names the key. */
export function createNotary(kid: string, privateKey: KeyObject): Notary {
  const publicKey = createPublicKey(privateKey)
  const header = encoded({ alg: 'EdDSA', kid, typ: TYPE })
  const { kty = '', crv = '', x = '' } = publicKey.export({ format: 'jwk' })
  return {
    sign(claims) {
      const signed = `${header}.${encoded(claims)}`
      return `${signed}.${sign(null, Buffer.from(signed), privateKey).toString('base64url')}`
    },
    verify: (jws) => opened(publicKey, jws),
    publicKey: { kty, crv, x, kid, alg: 'EdDSA', use: 'sig' },
  }
}

/** For whoever has an export and the public key, and no store. Throws when it is no such key. */
export function verifierOf(jwk: JsonWebKey): Pick<Notary, 'verify'> {
  const publicKey = createPublicKey({ key: jwk, format: 'jwk' })
  if (publicKey.asymmetricKeyType !== 'ed25519') throw new Error('it is no Ed25519 key')
  return { verify: (jws) => opened(publicKey, jws) }
}

function opened(publicKey: KeyObject, jws: string): unknown {
  const [header = '', payload = '', signature = '', ...more] = jws.split('.')
  if (more.length > 0 || !verify(null, Buffer.from(`${header}.${payload}`), publicKey, Buffer.from(signature, 'base64url')))
    return null
  // The key signs nothing else; what another version of us signed with it has another type.
  const { typ } = decoded(header) as { typ?: unknown }
  return typ === TYPE ? decoded(payload) : null
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function decoded(text: string): unknown {
  return JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
}
