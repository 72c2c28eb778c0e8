/** Records to put into a store under test: whole, and different where the test says so. */

import type { App } from '../core/app.ts'
import type { Attempt } from '../core/attempt.ts'
import type { CallerRecord } from '../core/caller.ts'
import type { Checkpoint } from '../core/checkpoint.ts'
import type { Connection } from '../core/connection.ts'
import type { BrokerKey, ConnectionFact, Fact, HandOutFact, Store } from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'
import type { TrustedIssuer } from '../core/trusted-issuer.ts'
import type { Webhook } from '../core/webhook.ts'

export const NOW = 1_780_000_000_000

/** What a column may have to hold: several scripts, quotes, an emoji, 10 kB. */
export const ODD_TEXT = `"'\`;-- ünï 名 \u{1f511}\n${'x'.repeat(10_000)}`
export const ODD_BYTES = Uint8Array.from({ length: 10_000 }, (_, i) => i % 256)

export function sampleAttempt(changes: Partial<Attempt> = {}): Attempt {
  return {
    id: 'attempt-1',
    session: 'session-1',
    tenant: 'acme',
    app: 'crm',
    provider: 'sales',
    owner: { userId: 'ada', orgCode: null },
    caller: 'backend',
    binding: 'confirm',
    stage: 'begun',
    connection: null,
    reconnects: null,
    accountOf: null,
    callbackUrl: 'https://app.example/connected',
    redirectUri: 'https://broker.example/connected_apps/callback/1',
    scopes: ['files.read', 'offline_access'],
    hosts: ['https://sales.example'],
    issuer: 'https://sales.example',
    issuerRequired: true,
    handleHash: null,
    stateHash: null,
    browserHash: null,
    completionHash: null,
    sealed: { dataKey: Uint8Array.of(1), codeVerifier: Uint8Array.of(2), nonce: null, answer: null, departure: null },
    reason: null,
    createdAt: NOW,
    expiresAt: NOW + 600_000,
    ...changes,
  }
}

export function sampleConnection(changes: Partial<Connection> = {}): Connection {
  return {
    id: 'session-1',
    tenant: 'acme',
    app: 'crm',
    provider: 'sales',
    owner: { userId: 'ada', orgCode: null },
    label: null,
    account: { id: '42', label: 'ada@example.com' },
    requestedScopes: ['files.read', 'offline_access'],
    grantedScopes: ['files.read'],
    sealed: { dataKey: Uint8Array.of(1), accessToken: Uint8Array.of(2), refreshToken: Uint8Array.of(3), extra: null },
    tokenType: 'Bearer',
    issuedAt: NOW,
    expiresAt: NOW + 3_600_000,
    health: { state: 'connected', trouble: null },
    version: 1,
    lease: null,
    createdAt: NOW,
    connectedAt: NOW,
    renewedAt: null,
    dueAt: null,
    usedAt: null,
    ...changes,
  }
}

export function sampleApp(changes: Partial<App> = {}): App {
  return {
    tenant: 'acme',
    keyCodeRef: 'crm',
    provider: 'sales',
    name: 'The CRM',
    clientId: 'client-1',
    scopes: ['files.read'],
    callbackUrl: null,
    allowedCallbackUrls: ['https://app.example/other'],
    userBinding: 'confirm',
    config: { subdomain: 'acme' },
    onePerOwner: true,
    sharedRedirectUri: false,
    revokeWhenUnused: 180,
    allowAccountChange: false,
    onePerAccount: false,
    requiredScopes: ['files.read'],
    sealed: { dataKey: Uint8Array.of(1), clientSecret: Uint8Array.of(2), privateKey: null },
    createdAt: NOW,
    updatedAt: NOW,
    ...changes,
  }
}

export function sampleCaller(changes: Partial<CallerRecord> = {}): CallerRecord {
  return {
    clientId: 'backend',
    tenant: 'acme',
    secretHash: 'a hash',
    scopes: ['read:connected_apps', 'create:connected_apps'],
    owner: 'ops@example.com',
    expiresAt: null,
    disabled: false,
    pins: {},
    dpop: false,
    rateLimit: null,
    createdAt: NOW,
    lastUsedAt: null,
    ...changes,
  }
}

export function sampleProvider(changes: Partial<Provider> = {}): Provider {
  return { id: 'sales', name: 'Sales', mode: 'oauth2', token_url: 'https://sales.example/token', ...changes }
}

export function sampleIssuer(changes: Partial<TrustedIssuer> = {}): TrustedIssuer {
  return {
    issuer: 'https://login.example',
    audience: 'https://broker.example/api',
    jwksUrl: null,
    algorithms: ['RS256'],
    clockToleranceS: 30,
    scopeClaim: 'scope',
    scopes: { 'connect.read': ['read:connected_apps'] },
    tenant: { named: 'acme' },
    allowPrivateNetwork: false,
    ...changes,
  }
}

export function sampleKey(changes: Partial<BrokerKey> = {}): BrokerKey {
  return { purpose: 'sign', id: 'key-1', dataKey: Uint8Array.of(1), sealed: Uint8Array.of(2), createdAt: NOW, ...changes }
}

export function sampleWebhook(changes: Partial<Webhook> = {}): Webhook {
  return {
    id: 'webhook-1',
    tenant: 'acme',
    url: 'https://app.example/hooks',
    types: null,
    allowPrivateNetwork: false,
    sealed: { dataKey: Uint8Array.of(1), secret: Uint8Array.of(2), previous: null },
    createdAt: NOW,
    ...changes,
  }
}

export function sampleFact(changes: Partial<ConnectionFact> = {}): ConnectionFact {
  return {
    tenant: 'acme',
    at: NOW,
    actor: 'broker',
    action: 'connection.connected',
    subject: 'session-1',
    reason: null,
    about: { app: 'crm', provider: 'sales', owner: { userId: 'ada', orgCode: null } },
    ...changes,
  }
}

export function sampleHandOut(changes: Partial<HandOutFact> = {}): HandOutFact {
  return {
    ...{ tenant: 'acme', at: NOW, actor: 'backend', action: 'token.handed_out', subject: 'crm', reason: null },
    handedOut: {
      scopes: ['api', ODD_TEXT],
      tokens: [
        ['session-1', NOW, null],
        ['session-2', NOW + 1, ODD_TEXT],
      ],
    },
    ...changes,
  }
}

export function sampleCheckpoint(changes: Partial<Checkpoint> = {}): Checkpoint {
  return {
    ...{ number: 1, at: NOW, seq: 9, late: [], missing: [], digests: ODD_BYTES, previous: '', hash: 'h', signature: 's' },
    ...changes,
  }
}

/** A fact that cannot be written, for seeing what becomes of the change it came with. */
export function brokenFact(): Fact {
  return {
    ...sampleFact(),
    get reason(): string {
      throw new Error('this fact cannot be read')
    },
  }
}

/** The way a connection comes into a store: an attempt is made and finished. Resolves to what then stands there. */
export async function connect(store: Store, changes: Partial<Connection> = {}): Promise<Connection> {
  const connection = sampleConnection(changes)
  const { id, tenant } = connection
  const attempt = sampleAttempt({ id: crypto.randomUUID(), session: id, tenant, stage: 'returned' })
  await store.attempts.add(attempt, [])
  await store.attempts.finish('returned', { ...attempt, stage: 'connected', connection: id }, connection, [])
  const made = await store.connections.find(tenant, id)
  if (!made) throw new Error('finish made no connection')
  return made
}
