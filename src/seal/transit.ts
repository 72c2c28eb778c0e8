/** A master key in the transit engine of HashiCorp Vault or OpenBao: `transit:https://HOST/v1/transit/keys/NAME`. */

import { readFile } from 'node:fs/promises'
import { asked, fieldsOf, type KeyInService, type KeyServiceParts, masterKeyIn, textIn, unavailable } from './key-service.ts'
import type { MasterKey } from './master-key.ts'

const PATH = /^(\/v1\/[\w./-]+)\/keys\/([\w-]+)$/

/** What it says of a ciphertext that is not this key's, or not for this context. All else may pass: a key that was rotated too far, a sealed server. */
const NOT_OURS = /message authentication failed|invalid ciphertext/

export function transitKey(reference: string, { net, environment, now }: KeyServiceParts): MasterKey {
  const url = URL.parse(reference)
  const [, mount, name] = PATH.exec(url?.pathname ?? '') ?? []
  if (!url || !/^https?:$/.test(url.protocol) || mount === undefined || url.username || url.search || url.hash)
    throw new Error('must name a key: transit:https://HOST/v1/transit/keys/NAME')
  const service = `transit:${reference}`
  const namespace = environment['VAULT_NAMESPACE'] ?? environment['BAO_NAMESPACE']

  async function token(): Promise<string> {
    const given = environment['VAULT_TOKEN'] ?? environment['BAO_TOKEN']
    if (given?.trim()) return given.trim()
    const file = environment['VAULT_TOKEN_FILE']?.trim()
    if (!file) throw unavailable(service, 'neither VAULT_TOKEN nor VAULT_TOKEN_FILE is set')
    try {
      // Each time: an agent replaces it.
      return (await readFile(file, 'utf8')).trim()
    } catch (error) {
      throw unavailable(service, `${file} cannot be read`, error)
    }
  }

  async function call(operation: 'encrypt' | 'decrypt', field: string, fields: object): Promise<string> {
    const answer = await asked(net, service, {
      method: 'POST',
      url: `${url?.origin}${mount}/${operation}/${name}`,
      headers: {
        ...{ 'x-vault-token': await token(), 'x-vault-request': 'true', 'content-type': 'application/json' },
        ...(namespace && { 'x-vault-namespace': namespace }),
      },
      body: JSON.stringify(fields),
    })
    const said = fieldsOf(answer)
    if (answer.status !== 200) {
      const errors = Array.isArray(said['errors']) ? said['errors'].map(String).join('; ') : ''
      const notOurs = operation === 'decrypt' && answer.status === 400 && NOT_OURS.test(errors)
      throw notOurs ? new Error('not encrypted by this key for this tenant') : unavailable(service, `http_${answer.status}`)
    }
    const text = textIn((said['data'] ?? {}) as Record<string, unknown>, field)
    if (text === null) throw unavailable(service, 'malformed_answer')
    return text
  }

  const contextFor = (context: Buffer) => ({ associated_data: context.toString('base64') })
  const key: KeyInService = {
    ...{ scheme: 'transit', reference },
    async encrypt(plain, context) {
      const fields = { plaintext: Buffer.from(plain).toString('base64'), ...contextFor(context) }
      return Buffer.from(await call('encrypt', 'ciphertext', fields))
    },
    async decrypt(sealed, context) {
      const fields = { ciphertext: Buffer.from(sealed).toString(), ...contextFor(context) }
      return Buffer.from(await call('decrypt', 'plaintext', fields), 'base64')
    },
  }
  return masterKeyIn(key, now)
}
