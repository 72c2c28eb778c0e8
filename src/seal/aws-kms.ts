/** A master key in AWS KMS: `aws-kms:arn:aws:kms:REGION:ACCOUNT:key/ID`. */

import { AwsV4Signer } from 'aws4fetch'
import { awsCredentials } from './aws-credentials.ts'
import { asked, fieldsOf, type KeyInService, type KeyServiceParts, masterKeyIn, textIn, unavailable } from './key-service.ts'
import type { MasterKey } from './master-key.ts'

/** An alias would be another key one day, and open nothing of what it sealed before. */
const ARN = /^arn:(aws|aws-cn|aws-us-gov):kms:([a-z0-9-]+):\d{12}:key\/[\w-]+$/

/** What it says of a ciphertext that is not this key's, or not for this context. */
const NOT_OURS = new Set(['InvalidCiphertextException', 'IncorrectKeyException'])

export function awsKmsKey(arn: string, parts: KeyServiceParts): MasterKey {
  const [, partition, region = ''] = ARN.exec(arn) ?? []
  if (partition === undefined) throw new Error('must name a key by its ARN: aws-kms:arn:aws:kms:REGION:ACCOUNT:key/ID')
  const { net, environment, now } = parts
  const service = `aws-kms:${arn}`
  const suffix = partition === 'aws-cn' ? 'amazonaws.com.cn' : 'amazonaws.com'
  const url = environment['AWS_ENDPOINT_URL_KMS'] ?? environment['AWS_ENDPOINT_URL'] ?? `https://kms.${region}.${suffix}/`
  const credentials = awsCredentials(service, { region, suffix }, parts)

  async function call(operation: 'Encrypt' | 'Decrypt', fields: object): Promise<Readonly<Record<string, unknown>>> {
    const body = JSON.stringify({ KeyId: arn, ...fields })
    const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `TrentService.${operation}` }
    const signer = new AwsV4Signer({ ...(await credentials()), url, region, service: 'kms', method: 'POST', headers, body })
    const signed = await signer.sign()
    const answer = await asked(net, service, {
      ...{ method: 'POST', url: signed.url.href, body },
      headers: Object.fromEntries([...signed.headers].filter(([name]) => name !== 'host')),
    })
    const said = fieldsOf(answer)
    if (answer.status === 200) return said
    // With or without the namespace before it.
    const code = textIn(said, '__type')?.split('#').at(-1) ?? `http_${answer.status}`
    throw NOT_OURS.has(code) ? new Error(code) : unavailable(service, code)
  }

  const bytesIn = (fields: Readonly<Record<string, unknown>>, name: string): Buffer => {
    const text = textIn(fields, name)
    if (text === null) throw unavailable(service, 'malformed_answer')
    return Buffer.from(text, 'base64')
  }
  const contextFor = (context: Buffer) => ({ EncryptionContext: { latchstring: context.toString('base64') } })
  const key: KeyInService = {
    ...{ scheme: 'aws-kms', reference: arn },
    async encrypt(plain, context) {
      const fields = { Plaintext: Buffer.from(plain).toString('base64'), ...contextFor(context) }
      return bytesIn(await call('Encrypt', fields), 'CiphertextBlob')
    },
    async decrypt(sealed, context) {
      const fields = { CiphertextBlob: Buffer.from(sealed).toString('base64'), ...contextFor(context) }
      return bytesIn(await call('Decrypt', fields), 'Plaintext')
    },
  }
  return masterKeyIn(key, now)
}
