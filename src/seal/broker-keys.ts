/** Secrets of the broker's own: what it signs caller tokens with, what it hashes caller secrets with, and what it signs checkpoints with. Made at the first start, sealed in the store. */

import { createHmac, createPrivateKey, createPublicKey, generateKeyPair, type KeyObject, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import type { BrokerKey, Fact, Notary, RecordStore, Row, Seal } from '../core/ports.ts'
import { Secret } from '../core/secret.ts'
import { createNotary } from './notary.ts'

export interface SigningKey {
  readonly kid: string
  readonly createdAt: number
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

export interface BrokerKeys {
  /** In the order they were made; another list once there are others. */
  readonly signing: () => readonly SigningKey[]
  /** HMAC-SHA256 under a key that only this installation has, base64url: the store alone does not let anybody try secrets. */
  readonly hashOf: (secret: Secret) => string
  /** Names this installation: no other has a key of this id. */
  readonly installation: string
  /** Reads which signing keys there are now. */
  refresh(): Promise<void>
  readonly notary: Notary
}

/** Belongs to no tenant. */
const TENANT = '*'

/** Of processes that start at once, the first to write decides for all. */
export async function loadBrokerKeys(records: RecordStore, seal: Seal, now: () => number): Promise<BrokerKeys> {
  const known = await records.keys()
  const keyOf = async (purpose: BrokerKey['purpose'], make: () => Promise<Secret>): Promise<BrokerKey> =>
    known.find((candidate) => candidate.purpose === purpose) ??
    (await records.addKey(await made(seal, purpose, await make(), now())))
  await keyOf('sign', makeSigningKey)
  const hashKey = await keyOf('hash', makeHashKey)
  const auditKey = await keyOf('audit', makeNotaryKey)
  const notary = createNotary(auditKey.id, createPrivateKey((await opened(seal, auditKey)).reveal()))
  const pepper = Buffer.from((await opened(seal, hashKey)).reveal(), 'base64')

  let signing: readonly SigningKey[] = []
  const refresh = async (): Promise<void> => {
    const rows = (await records.keys()).filter(({ purpose }) => purpose === 'sign')
    if (rows.length === signing.length && rows.every(({ id }, at) => id === signing[at]?.kid)) return
    signing = await Promise.all(
      rows.map(async (row) => signing.find(({ kid }) => kid === row.id) ?? signingKey(row, await opened(seal, row))),
    )
  }
  await refresh()
  return {
    signing: () => signing,
    installation: hashKey.id,
    notary,
    hashOf: (secret) => createHmac('sha256', pepper).update(secret.reveal()).digest('base64url'),
    refresh,
  }
}

/**
 * Adds a signing key, which signs when everybody has had time to learn of it. Those before it stay, for what else they signed. `atOnce`
 * is for a key that leaked: the new one is the only one, and every caller token that was signed before is refused from then on.
 */
export async function rotateSigningKey(
  { records, seal, now }: { records: RecordStore; seal: Seal; now: () => number },
  { atOnce, actor }: { atOnce: boolean; actor: string },
): Promise<BrokerKey> {
  const standing = (await records.keys()).filter(({ purpose }) => purpose === 'sign')
  const next = await made(seal, 'sign', await makeSigningKey(), now())
  const fact: Fact = {
    ...{ tenant: TENANT, at: now(), actor, action: 'keys.signing_rotated', subject: next.id },
    reason: atOnce ? 'at once' : null,
  }
  await records.rotateKey(next, atOnce ? standing.map(({ id }) => id) : [], [fact])
  return next
}

async function made(seal: Seal, purpose: BrokerKey['purpose'], secret: Secret, createdAt: number): Promise<BrokerKey> {
  const id = randomBytes(12).toString('base64url')
  const row = await seal.create(rowOf(id))
  return { purpose, id, dataKey: row.dataKey, sealed: row.seal(purpose, secret), createdAt }
}

async function opened(seal: Seal, { purpose, id, dataKey, sealed }: BrokerKey): Promise<Secret> {
  return (await seal.load(rowOf(id), dataKey)).open(purpose, sealed)
}

function signingKey({ id, createdAt }: BrokerKey, secret: Secret): SigningKey {
  const privateKey = createPrivateKey(secret.reveal())
  return { kid: id, createdAt, privateKey, publicKey: createPublicKey(privateKey) }
}

/** RS256 with 2048 bits, which is what stock clients verify. */
async function makeSigningKey(): Promise<Secret> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
  return new Secret(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)
}

async function makeHashKey(): Promise<Secret> {
  return new Secret(randomBytes(32).toString('base64'))
}

async function makeNotaryKey(): Promise<Secret> {
  const { privateKey } = await promisify(generateKeyPair)('ed25519')
  return new Secret(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)
}

function rowOf(id: string): Row {
  return { tenant: TENANT, table: 'broker_keys', id }
}
