/** Proves that whoever shows a token holds the key that it is bound to (RFC 9449): ES256, a new proof for each request that is sent. */

/** A key as Web Cryptography has it, which not every program's types know of. */
interface ProvingKey {
  readonly type: string
  readonly algorithm: { readonly name: string }
  readonly extractable: boolean
  readonly usages: readonly string[]
}

/** ECDSA on P-256, as `crypto.subtle.generateKey` makes it; its private key need not be extractable. */
export interface ProvingPair {
  readonly privateKey: ProvingKey
  readonly publicKey: ProvingKey
}

/** What a proof is for. */
export interface Proven {
  readonly method: string
  readonly url: string
  /** The access token that is shown; null: one is asked for. */
  readonly token: string | null
}

export type Prove = (request: Proven) => Promise<string>

/** With a key pair that is given, or with one that is made at its first use, that cannot be taken out of this process, and that goes with it. */
export function prover(given: ProvingPair | null, now: () => number): Prove {
  let made: Promise<Holder> | undefined
  const holder = (): Promise<Holder> => {
    made ??= (given ? Promise.resolve(given) : newKeyPair()).then(holderOf)
    return made
  }
  return async ({ method, url, token }) => {
    const { privateKey, head } = await holder()
    const claims = {
      jti: crypto.randomUUID(),
      htm: method,
      htu: withoutQuery(url),
      iat: Math.floor(now() / 1000),
      ...(token !== null && { ath: base64url(await crypto.subtle.digest('SHA-256', bytesOf(token))) }),
    }
    const signed = `${head}.${base64url(bytesOf(JSON.stringify(claims)))}`
    // As JWS wants it: both numbers, one after the other (RFC 7518 section 3.4).
    const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, privateKey, bytesOf(signed))
    return `${signed}.${base64url(signature)}`
  }
}

/** Whether proofs can be made with it. */
export function isProvingPair(value: unknown): value is ProvingPair {
  const { privateKey, publicKey } = (value ?? {}) as Partial<ProvingPair>
  const fits = (key: ProvingKey | undefined, type: string): boolean => {
    const { name, namedCurve } = (key?.algorithm ?? {}) as { name?: unknown; namedCurve?: unknown }
    return key?.type === type && name === 'ECDSA' && namedCurve === 'P-256'
  }
  return fits(privateKey, 'private') && fits(publicKey, 'public') && privateKey!.usages.includes('sign') && publicKey!.extractable
}

type Key = Parameters<typeof crypto.subtle.sign>[1]

interface Holder {
  readonly privateKey: Key
  /** The same of every proof. */
  readonly head: string
}

async function newKeyPair(): Promise<ProvingPair> {
  const made: unknown = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify'])
  return made as ProvingPair
}

async function holderOf({ privateKey, publicKey }: ProvingPair): Promise<Holder> {
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', publicKey as Key)
  const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } }
  return { privateKey: privateKey as Key, head: base64url(bytesOf(JSON.stringify(header))) }
}

/** RFC 9449 section 4.2: neither query nor fragment. */
function withoutQuery(url: string): string {
  const { origin, pathname } = new URL(url)
  return `${origin}${pathname}`
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text)
}

function base64url(bytes: ArrayBuffer | Uint8Array): string {
  const binary = String.fromCharCode(...new Uint8Array(bytes))
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}
