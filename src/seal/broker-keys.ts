/** Secrets of the broker's own: what it signs caller tokens with, what it hashes caller secrets with, and what it signs checkpoints with. Made at the first start, sealed in the store. */

import { createHmac, createPrivateKey, createPublicKey, generateKeyPair, type KeyObject, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import type { BrokerKey, Notary, RecordStore, Row, Seal } from '../core/ports.ts'
import { Secret } from '../core/secret.ts'
import { createNotary } from './notary.ts'

export interface BrokerKeys {
  readonly signing: { readonly kid: string; readonly privateKey: KeyObject; readonly publicKey: KeyObject }
  /** HMAC-SHA256 under a key that only this installation has, base64url: the store alone does not let anybody try secrets. */
  readonly hashOf: (secret: Secret) => string
  readonly notary: Notary
}

/** Belongs to no tenant. */
const TENANT = '*'

/** Of processes that start at once, the first to write decides for all. */
export async function loadBrokerKeys(records: RecordStore, seal: Seal, now: () => number): Promise<BrokerKeys> {
  const known = await records.keys()
  const keyOf = async (purpose: BrokerKey['purpose'], make: () => Promise<Secret>): Promise<{ id: string; secret: Secret }> => {
    const key =
      known.find((candidate) => candidate.purpose === purpose) ??
      (await records.addKey(await made(seal, purpose, await make(), now())))
    const row = await seal.load(rowOf(key.id), key.dataKey)
    return { id: key.id, secret: row.open(purpose, key.sealed) }
  }
  const sign = await keyOf('sign', makeSigningKey)
  const hash = await keyOf('hash', async () => new Secret(randomBytes(32).toString('base64')))
  const audit = await keyOf('audit', makeNotaryKey)

  const privateKey = createPrivateKey(sign.secret.reveal())
  const pepper = Buffer.from(hash.secret.reveal(), 'base64')
  return {
    signing: { kid: sign.id, privateKey, publicKey: createPublicKey(privateKey) },
    hashOf: (secret) => createHmac('sha256', pepper).update(secret.reveal()).digest('base64url'),
    notary: createNotary(audit.id, createPrivateKey(audit.secret.reveal())),
  }
}

async function made(seal: Seal, purpose: BrokerKey['purpose'], secret: Secret, createdAt: number): Promise<BrokerKey> {
  const id = randomBytes(12).toString('base64url')
  const row = await seal.create(rowOf(id))
  return { purpose, id, dataKey: row.dataKey, sealed: row.seal(purpose, secret), createdAt }
}

/** RS256 with 2048 bits, which is what stock clients verify. */
async function makeSigningKey(): Promise<Secret> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
  return new Secret(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)
}

async function makeNotaryKey(): Promise<Secret> {
  const { privateKey } = await promisify(generateKeyPair)('ed25519')
  return new Secret(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)
}

function rowOf(id: string): Row {
  return { tenant: TENANT, table: 'broker_keys', id }
}
