/** A master key in Google Cloud KMS: `gcp-kms:projects/P/locations/L/keyRings/R/cryptoKeys/K`. */

import { gcpAccessToken } from './gcp-credentials.ts'
import { asked, fieldsOf, type KeyInService, type KeyServiceParts, masterKeyIn, textIn, unavailable } from './key-service.ts'
import type { MasterKey } from './master-key.ts'

/** Without a version: the service encrypts with the primary one, and finds the one to decrypt with. */
const NAME = /^projects\/[\w.:-]+\/locations\/[\w-]+\/keyRings\/[\w-]+\/cryptoKeys\/[\w-]+$/
const ENDPOINT = 'https://cloudkms.googleapis.com/'

export function gcpKmsKey(name: string, parts: KeyServiceParts): MasterKey {
  if (!NAME.test(name)) throw new Error('must name a key: gcp-kms:projects/P/locations/L/keyRings/R/cryptoKeys/K')
  const { net, environment, now } = parts
  const service = `gcp-kms:${name}`
  const base = environment['CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS'] ?? ENDPOINT
  const accessToken = gcpAccessToken(service, parts)

  async function call(operation: 'encrypt' | 'decrypt', field: string, fields: object): Promise<Buffer> {
    const answer = await asked(net, service, {
      method: 'POST',
      url: new URL(`v1/${name}:${operation}`, base).href,
      headers: { authorization: `Bearer ${await accessToken()}`, 'content-type': 'application/json' },
      body: JSON.stringify(fields),
    })
    const said = fieldsOf(answer)
    if (answer.status !== 200) {
      const status = textIn((said['error'] ?? {}) as Record<string, unknown>, 'status') ?? `http_${answer.status}`
      // The ciphertext is not this key's, or not for this context. A key that is disabled is FAILED_PRECONDITION.
      throw operation === 'decrypt' && status === 'INVALID_ARGUMENT' ? new Error(status) : unavailable(service, status)
    }
    const text = textIn(said, field)
    if (text === null) throw unavailable(service, 'malformed_answer')
    return Buffer.from(text, 'base64')
  }

  const contextFor = (context: Buffer) => ({ additionalAuthenticatedData: context.toString('base64') })
  const key: KeyInService = {
    ...{ scheme: 'gcp-kms', reference: name },
    encrypt: (plain, context) =>
      call('encrypt', 'ciphertext', { plaintext: Buffer.from(plain).toString('base64'), ...contextFor(context) }),
    decrypt: (sealed, context) =>
      call('decrypt', 'plaintext', { ciphertext: Buffer.from(sealed).toString('base64'), ...contextFor(context) }),
  }
  return masterKeyIn(key, now)
}
