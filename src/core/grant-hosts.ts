/** Where what a provider granted may be sent, and what may not change under grants that are there unasked: the hosts, and the client that they were made to. */

import type { App, Registration } from './app.ts'
import { BrokerError } from './errors.ts'
import type { Ports } from './ports.ts'
import type { Provider } from './provider.ts'
import { CLIENT_ID, expandUrl } from './provider-url.ts'
import type { AppSetup, Setup } from './setup.ts'

/** Scheme, host and port of each place, once, in order. Of an issuer: it says where the rest is. */
export function grantHosts({ provider, config, clientId }: Pick<Registration, 'provider' | 'config' | 'clientId'>): string[] {
  const { issuer, token_url, refresh_url, revoke_url, identity, probe, hosts = [] } = provider
  const urls = [issuer, token_url, refresh_url, revoke_url, identity?.url, probe?.url, ...hosts.map((host) => `https://${host}`)]
  const values = { ...config, [CLIENT_ID]: clientId }
  return [...new Set(urls.filter((url) => url !== undefined).map((url) => originOf(expanded(provider, url, values))))].sort()
}

/** Changed since then, so that what is granted would go where nobody agreed to. Fewer places are no change. */
export function leadsElsewhere(before: readonly string[], now: readonly string[]): boolean {
  return now.some((host) => !before.includes(host))
}

/** Not `URL.origin`: a host may be `*.example.com`. */
function originOf(url: string): string {
  const [origin = url] = /^https?:\/\/[^/?#]*/i.exec(url) ?? []
  return origin.toLowerCase()
}

/** A value that is missing, or wrong, leads nowhere: the place is what the file says. */
function expanded(provider: Provider, url: string, values: Readonly<Record<string, string>>): string {
  try {
    return expandUrl(provider, url, values)
  } catch (error) {
    if (error instanceof BrokerError) return url
    throw error
  }
}

/**
 * The new hosts that connections would be sent to if the setup were made so, by provider. `approved` are providers that the operator named.
 * Throws `CONFLICT` for any other.
 */
export async function hostChanges(ports: Ports, setup: Setup, approved: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const { records } = ports.store
  const own = new Map((await records.providers()).map((provider) => [provider.id, provider]))
  const before = async (id: string) => own.get(id) ?? (await ports.registry.provider(id))
  const wanted = new Map(setup.providers.map((provider) => [provider.id, provider]))
  const changes = new Map<string, string>()
  for (const app of await records.apps(null)) {
    const next = setup.apps.find(({ tenant, keyCodeRef }) => tenant === app.tenant && keyCodeRef === app.keyCodeRef) ?? app
    const [was, becomes] = [await before(app.provider), wanted.get(next.provider) ?? (await before(next.provider))]
    if (!was || !becomes) continue
    const old = grantHosts({ ...app, provider: was })
    const added = grantHosts({ ...next, provider: becomes }).filter((host) => !old.includes(host))
    const held = added.length > 0 && (await heldBy(ports, app))
    if (!held) continue
    const what = `${held} to ${added.join(' and ')}`
    if (!approved.includes(becomes.id)) throw new BrokerError('CONFLICT', refusal(becomes.id, what, old))
    changes.set(becomes.id, [changes.get(becomes.id), what].filter(Boolean).join(', '))
  }
  return changes
}

/**
 * The apps whose connections would be left to another client than they were granted to, and what they are. `approved` are apps that the
 * operator named, by `key_code_ref`. Throws `CONFLICT` for any other. A secret that is new is no other client.
 */
export async function clientChanges(
  ports: Ports,
  { apps }: Setup,
  approved: readonly string[],
): Promise<ReadonlyMap<AppSetup, string>> {
  const changes = new Map<AppSetup, string>()
  for (const next of apps) {
    const app = await ports.store.records.app(next.tenant, next.keyCodeRef)
    const held = app && app.clientId !== next.clientId && (await heldBy(ports, app))
    if (!held) continue
    if (!approved.includes(app.keyCodeRef)) throw new BrokerError('CONFLICT', clientRefusal(app, next, held))
    changes.set(next, `${held} to the client ${next.clientId}`)
  }
  return changes
}

/** The revoked ones too: what a provider did not take back is kept, to try again with. null: it has none. */
async function heldBy(ports: Ports, { tenant, keyCodeRef }: App): Promise<string | null> {
  const counted = await ports.store.connections.count({ tenant, app: keyCodeRef })
  const held = Object.values(counted).reduce((sum, count) => sum + count, 0)
  return held === 0 ? null : `${held === 1 ? '1 connection' : `${held} connections`} of the app ${keyCodeRef}`
}

function clientRefusal({ keyCodeRef, clientId }: App, next: AppSetup, held: string): string {
  return (
    `what is held by ${held} was granted to the client ${clientId}: ${next.clientId} can neither renew it nor have it taken back, and its users ` +
    `would have to connect again. To keep it, set up ${next.clientId} under another key_code_ref; to lose it, say so: ` +
    `latchstring apply --allow-client-change ${keyCodeRef}`
  )
}

function refusal(provider: string, what: string, old: readonly string[]): string {
  return (
    `${provider} would from now on send what is held by ${what}, and until now it was ${old.join(' and ')}. ` +
    `If these are the same provider's, say so: latchstring apply --allow-host-change ${provider}`
  )
}
