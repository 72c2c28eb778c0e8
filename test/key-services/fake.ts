/** Key services as their documents describe them: they check who asks, encrypt for real, bind what they encrypt, and can be out of order. */

import { createCipheriv, createDecipheriv, createHash, createHmac, createPublicKey, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { jwtVerify } from 'jose'

/** `off`: it does not answer. `encrypts`: we may encrypt, and not decrypt. */
export type Order = 'well' | 'off' | 'disabled' | 'denied' | 'encrypts' | 'throttled' | 'broken'

export interface Fake extends AsyncDisposable {
  readonly url: string
  /** What the key's reference is in LATCHSTRING_MASTER_KEY. */
  readonly reference: string
  /** Environment that makes the broker find it, and be let in. */
  readonly environment: Readonly<Record<string, string>>
  order: Order
  /** Operations that it did: `encrypt`, `decrypt`, `login`. */
  readonly done: string[]
}

interface Asked {
  readonly request: IncomingMessage
  readonly path: string
  readonly body: string
}

type Answer = readonly [status: number, body: object | string]

interface Kind {
  readonly reference: (url: string) => string
  readonly environment: (url: string) => Readonly<Record<string, string>>
  readonly answer: (asked: Asked, fake: Fake, key: Buffer) => Answer | Promise<Answer>
}

async function start(kind: Kind): Promise<Fake> {
  const key = randomBytes(32)
  const server = createServer((request, response) => {
    void answered(request, response)
  })
  async function answered(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request)
    if (fake.order === 'off') return void request.socket.destroy()
    const [status, said] = await kind.answer({ request, path: request.url ?? '', body }, fake, key)
    response.writeHead(status, { 'content-type': 'application/json' }).end(typeof said === 'string' ? said : JSON.stringify(said))
  }
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const fake: Fake = {
    ...{ url, order: 'well', done: [] },
    reference: kind.reference(url),
    environment: kind.environment(url),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    },
  }
  return fake
}

function isDenied({ order }: Fake, operation: string): boolean {
  return order === 'denied' || (order === 'encrypts' && operation.toLowerCase() === 'decrypt')
}

function encrypt(key: Buffer, plain: string, context: string): Buffer {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context))
  return Buffer.concat([nonce, cipher.update(Buffer.from(plain, 'base64')), cipher.final(), cipher.getAuthTag()])
}

/** null: not for this key or context. */
function decrypt(key: Buffer, sealed: Buffer, context: string): string | null {
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12)).setAAD(Buffer.from(context))
    decipher.setAuthTag(sealed.subarray(-16))
    return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]).toString('base64')
  } catch {
    return null
  }
}

// ── AWS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

export const ARN = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab'
const AWS = { id: 'AKIAIOSFODNN7EXAMPLE', secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', session: 'the-session-token' }

/** What AWS_ACCESS_KEY_ID and its like are, however they were found. */
const CREDENTIALS = { AccessKeyId: AWS.id, SecretAccessKey: AWS.secret, Token: AWS.session }
const end = (): string => new Date(Date.now() + 3_600_000).toISOString()

export const awsFake = (environment?: (url: string) => Readonly<Record<string, string>>): Promise<Fake> =>
  start({
    reference: () => `aws-kms:${ARN}`,
    environment: (url) => ({
      AWS_ENDPOINT_URL_KMS: `${url}/`,
      ...(environment?.(url) ?? {
        ...{ AWS_ACCESS_KEY_ID: AWS.id, AWS_SECRET_ACCESS_KEY: AWS.secret, AWS_SESSION_TOKEN: AWS.session },
      }),
    }),
    answer: ({ request, path, body }, fake, key) =>
      awsLogin(request, path, body, fake) ?? awsAnswer({ request, path, body }, fake, key),
  })

/** STS, the container's endpoint and the machine's. */
function awsLogin(request: IncomingMessage, path: string, body: string, fake: Fake): Answer | null {
  const { headers, method } = request
  if (path === '/sts') {
    const form = new URLSearchParams(body)
    const fits =
      form.get('Action') === 'AssumeRoleWithWebIdentity' &&
      form.get('WebIdentityToken') === 'the-identity' &&
      form.get('Version') === '2011-06-15'
    if (!fits || headers.accept !== 'application/json') return [403, { Error: { Code: 'AccessDenied' } }]
    fake.done.push('login')
    const { Token, ...rest } = CREDENTIALS
    const Credentials = { ...rest, SessionToken: Token, Expiration: Date.now() / 1000 + 3600 }
    return [200, { AssumeRoleWithWebIdentityResponse: { AssumeRoleWithWebIdentityResult: { Credentials } } }]
  }
  if (path === '/container') {
    if (headers.authorization !== 'the-container-token') return [403, {}]
    fake.done.push('login')
    return [200, { ...CREDENTIALS, Expiration: end() }]
  }
  if (path === '/latest/api/token')
    return method === 'PUT' && headers['x-aws-ec2-metadata-token-ttl-seconds'] ? [200, 'the-imds-session'] : [400, '']
  if (!path.startsWith('/latest/meta-data/iam/security-credentials/')) return null
  if (headers['x-aws-ec2-metadata-token'] !== 'the-imds-session') return [401, '']
  if (path.endsWith('/')) return [200, 'the-role']
  fake.done.push('login')
  return [200, { Code: 'Success', Type: 'AWS-HMAC', ...CREDENTIALS, Expiration: end() }]
}

function awsAnswer(asked: Asked, fake: Fake, key: Buffer): Answer {
  const fail = (type: string, status = 400): Answer => [
    status,
    { __type: `com.amazonaws.kms#${type}`, message: 'no secret is in here' },
  ]
  if (!awsSigned(asked)) return fail('InvalidSignatureException')
  const operation = String(asked.request.headers['x-amz-target']).replace('TrentService.', '')
  const fields = JSON.parse(asked.body) as { KeyId: string; Plaintext: string; CiphertextBlob: string; EncryptionContext: object }
  if (fields.KeyId !== ARN) return fail('NotFoundException')
  if (fake.order === 'disabled') return fail('DisabledException')
  if (isDenied(fake, operation)) return fail('AccessDeniedException')
  if (fake.order === 'throttled') return fail('ThrottlingException')
  if (fake.order === 'broken') return fail('KMSInternalException', 500)
  const context = JSON.stringify(fields.EncryptionContext)
  fake.done.push(operation.toLowerCase())
  const more = { KeyId: ARN, EncryptionAlgorithm: 'SYMMETRIC_DEFAULT' }
  if (operation === 'Encrypt')
    return [200, { CiphertextBlob: encrypt(key, fields.Plaintext, context).toString('base64'), ...more }]
  const plain = decrypt(key, Buffer.from(fields.CiphertextBlob, 'base64'), context)
  return plain === null ? fail('InvalidCiphertextException') : [200, { Plaintext: plain, ...more }]
}

/** Signature Version 4, computed from what arrived. */
function awsSigned({ request: { headers, method = '' }, path, body }: Asked): boolean {
  const form =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/kms\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/
  const [, id, day, region, names, signature] = form.exec(headers.authorization ?? '') ?? []
  const date = String(headers['x-amz-date'])
  if (id !== AWS.id || region !== 'eu-central-1' || names === undefined || !date.startsWith(`${day}T`)) return false
  if (headers['x-amz-security-token'] !== AWS.session || !names.split(';').includes('x-amz-target')) return false
  const sha = (value: string): string => createHash('sha256').update(value).digest('hex')
  const lines = names.split(';').map((name) => `${name}:${String(headers[name]).trim()}\n`)
  const canonical = [method, path, '', lines.join(''), names, sha(body)].join('\n')
  const scope = `${day}/${region}/kms/aws4_request`
  const toSign = ['AWS4-HMAC-SHA256', date, scope, sha(canonical)].join('\n')
  const chain = [String(day), region, 'kms', 'aws4_request']
  const signingKey = chain.reduce<Buffer | string>(
    (k, part) => createHmac('sha256', k).update(part).digest(),
    `AWS4${AWS.secret}`,
  )
  return createHmac('sha256', signingKey).update(toSign).digest('hex') === signature
}

// ── Google Cloud ─────────────────────────────────────────────────────────────────────────────────────────────────────

export const GCP_KEY = 'projects/acme/locations/europe-west3/keyRings/brokers/cryptoKeys/latchstring'

/** Its service account is known by the public half of this key. */
export const gcpFake = (
  environment: (url: string) => Readonly<Record<string, string>>,
  publicKey: string | null = null,
): Promise<Fake> =>
  start({
    reference: () => `gcp-kms:${GCP_KEY}`,
    environment: (url) => ({ CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS: `${url}/`, ...environment(url) }),
    answer: async (asked, fake, key) => (await gcpLogin(asked, fake, publicKey)) ?? gcpAnswer(asked, fake, key),
  })

async function gcpLogin(
  { request: { headers }, path, body }: Asked,
  fake: Fake,
  publicKey: string | null,
): Promise<Answer | null> {
  const token: Answer = [200, { access_token: 'ya29.the-token', expires_in: 3599, token_type: 'Bearer' }]
  if (path.startsWith('/computeMetadata/v1/instance/service-accounts/default/token')) {
    if (headers['metadata-flavor'] !== 'Google') return [403, {}]
    fake.done.push('login')
    return token
  }
  if (path !== '/token') return null
  const form = new URLSearchParams(body)
  if (form.get('grant_type') === 'refresh_token') {
    if (form.get('refresh_token') !== 'the-refresh-token' || form.get('client_secret') !== 'the-secret')
      return [400, { error: 'invalid_grant' }]
    fake.done.push('login')
    return token
  }
  try {
    const options = { audience: `${fake.url}/token`, issuer: 'broker@acme.iam.gserviceaccount.com', algorithms: ['RS256'] }
    const { payload, protectedHeader } = await jwtVerify(form.get('assertion') ?? '', createPublicKey(publicKey ?? ''), options)
    if (payload['scope'] !== 'https://www.googleapis.com/auth/cloudkms' || protectedHeader.kid !== 'the-kid') throw new Error()
    if ((payload.exp ?? 0) - (payload.iat ?? 0) > 3600) throw new Error()
  } catch {
    return [400, { error: 'invalid_grant', error_description: 'Invalid JWT Signature.' }]
  }
  fake.done.push('login')
  return token
}

function gcpAnswer({ request: { headers }, path, body }: Asked, fake: Fake, key: Buffer): Answer {
  const fail = (code: number, status: string): Answer => [code, { error: { code, message: 'no secret is in here', status } }]
  if (headers.authorization !== 'Bearer ya29.the-token') return fail(401, 'UNAUTHENTICATED')
  const operation = path.replace(`/v1/${GCP_KEY}:`, '')
  if (operation !== 'encrypt' && operation !== 'decrypt') return fail(404, 'NOT_FOUND')
  if (fake.order === 'disabled') return fail(400, 'FAILED_PRECONDITION')
  if (isDenied(fake, operation)) return fail(403, 'PERMISSION_DENIED')
  if (fake.order === 'throttled') return fail(429, 'RESOURCE_EXHAUSTED')
  if (fake.order === 'broken') return [502, '<html>502 Bad Gateway</html>']
  const fields = JSON.parse(body) as { plaintext: string; ciphertext: string; additionalAuthenticatedData: string }
  const context = fields.additionalAuthenticatedData
  fake.done.push(operation)
  if (operation === 'encrypt') {
    const more = { name: `${GCP_KEY}/cryptoKeyVersions/1`, protectionLevel: 'SOFTWARE' }
    return [200, { ciphertext: encrypt(key, fields.plaintext, context).toString('base64'), ...more }]
  }
  const plaintext = decrypt(key, Buffer.from(fields.ciphertext, 'base64'), context)
  return plaintext === null ? fail(400, 'INVALID_ARGUMENT') : [200, { plaintext, usedPrimary: true }]
}

// ── Vault and OpenBao ────────────────────────────────────────────────────────────────────────────────────────────────

export const transitFake = (environment: Readonly<Record<string, string>> = { VAULT_TOKEN: 'hvs.the-token' }): Promise<Fake> =>
  start({
    reference: (url) => `transit:${url}/v1/transit/keys/latchstring`,
    environment: () => environment,
    answer: transitAnswer,
  })

function transitAnswer({ request: { headers, method }, path, body }: Asked, fake: Fake, key: Buffer): Answer {
  const fail = (status: number, ...errors: string[]): Answer => [status, { errors }]
  if (fake.order === 'broken') return fail(503, 'Vault is sealed')
  if (fake.order === 'throttled') return fail(429, 'request path "transit/decrypt/latchstring": rate limit quota exceeded')
  const [, operation = ''] = /^\/v1\/transit\/(encrypt|decrypt)\/latchstring$/.exec(path) ?? []
  if (headers['x-vault-token'] !== 'hvs.the-token' || isDenied(fake, operation))
    return fail(403, '1 error occurred:\n\t* permission denied\n\n')
  if (fake.order === 'disabled') return fail(400, 'ciphertext or signature version is disallowed by policy (too old)')
  if (operation === '' || method !== 'POST') return fail(404)
  const fields = JSON.parse(body) as { plaintext: string; ciphertext: string; associated_data: string }
  fake.done.push(operation)
  if (operation === 'encrypt') {
    const ciphertext = `vault:v1:${encrypt(key, fields.plaintext, fields.associated_data).toString('base64')}`
    return [200, { request_id: 'x', lease_id: '', renewable: false, data: { ciphertext, key_version: 1 }, warnings: null }]
  }
  const [, sealed] = /^vault:v1:(.+)$/.exec(fields.ciphertext) ?? []
  if (sealed === undefined) return fail(400, 'invalid ciphertext: no prefix')
  const plaintext = decrypt(key, Buffer.from(sealed, 'base64'), fields.associated_data)
  if (plaintext === null) return fail(400, 'cipher: message authentication failed')
  return [200, { request_id: 'x', data: { plaintext } }]
}
