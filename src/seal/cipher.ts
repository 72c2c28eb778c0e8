/** AES-256-GCM with a random nonce, bound to a context: the only place that knows the cipher. */

import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto'

const CIPHER = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** Said out loud, or Node accepts tags as short as four bytes. */
const OPTIONS = { authTagLength: TAG_BYTES }

export const OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES

/** Nonce, ciphertext, tag. */
export function encrypt(key: KeyObject, context: Uint8Array, plain: Uint8Array): Buffer {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(CIPHER, key, nonce, OPTIONS).setAAD(context)
  const ciphertext = cipher.update(plain)
  cipher.final()
  return Buffer.concat([nonce, ciphertext, cipher.getAuthTag()])
}

/** Throws on anything but what `encrypt` made with this key for this context; no byte of it is seen before it is proved. */
export function decrypt(key: KeyObject, context: Uint8Array, sealed: Uint8Array): Buffer {
  if (sealed.length < OVERHEAD_BYTES) throw new Error('too short to have been sealed')
  const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE_BYTES), OPTIONS)
  decipher.setAAD(context).setAuthTag(sealed.subarray(-TAG_BYTES))
  const plain = decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES))
  decipher.final()
  return plain
}

/** Each part is preceded by its length in four bytes, so that no two lists of parts make the same bytes. */
export function contextOf(...parts: readonly string[]): Buffer {
  // A character for each byte, and written once: a buffer that is written part by part takes five times as long.
  let bytes = ''
  for (const part of parts) {
    const utf8 = Buffer.byteLength(part) === part.length ? part : Buffer.from(part).toString('latin1')
    bytes += lengthOf(utf8) + utf8
  }
  return Buffer.from(bytes, 'latin1')
}

function lengthOf({ length }: string): string {
  return String.fromCharCode(length >>> 24, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff)
}
