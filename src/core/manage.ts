/** What operators do with what is set up: look, remove, disable. Making it so is `apply`. */

import type { App } from './app.ts'
import { apply } from './apply.ts'
import { allow, allowedApps, type Caller, type CallerRecord } from './caller.ts'
import { BrokerError } from './errors.ts'
import type { OtherFact, Ports } from './ports.ts'
import type { AppSetup } from './setup.ts'
import type { TrustedIssuer } from './trusted-issuer.ts'

export async function listApps(ports: Ports, caller: Caller): Promise<App[]> {
  await allow(ports, caller, 'read:apps', 'apps', 'narrowed')
  const { apps } = allowedApps(caller)
  const all = await ports.store.records.apps(caller.tenant)
  return apps ? all.filter(({ keyCodeRef }) => apps.includes(keyCodeRef)) : all
}

export async function readApp(ports: Ports, caller: Caller, keyCodeRef: string): Promise<App> {
  await allow(ports, caller, 'read:apps', keyCodeRef, { app: keyCodeRef })
  return existingApp(ports, caller.tenant, keyCodeRef)
}

/**
 * What a caller may do of `apply`: an app of its own tenant. Throws `CONFLICT` where only others have that registration at the provider:
 * that it is for this one too, only the operator can say (S-29). A new host for connections that are there is the operator's to allow, too.
 */
export async function setApp(ports: Ports, caller: Caller, app: AppSetup): Promise<void> {
  await allow(ports, caller, 'write:apps', app.keyCodeRef, { app: app.keyCodeRef })
  const same = (one: App) => one.provider === app.provider && one.clientId === app.clientId
  const tenants = new Set((await ports.store.records.apps(null)).filter(same).map(({ tenant }) => tenant))
  if (tenants.size > 0 && !tenants.has(caller.tenant)) {
    throw new BrokerError('CONFLICT', `the client id ${app.clientId} at ${app.provider} belongs to another tenant already`)
  }
  await apply(ports, caller.name, { providers: [], apps: [app], callers: [] })
}

/** Throws `CONFLICT` while it has connections that are not revoked: removing it would leave them without a way to renew or revoke. */
export async function removeApp(ports: Ports, caller: Caller, keyCodeRef: string): Promise<void> {
  await allow(ports, caller, 'write:apps', keyCodeRef, { app: keyCodeRef })
  await existingApp(ports, caller.tenant, keyCodeRef)
  const { connected, failing, broken } = await ports.store.connections.count({ tenant: caller.tenant, app: keyCodeRef })
  if (connected + failing + broken > 0) {
    throw new BrokerError('CONFLICT', `the app ${keyCodeRef} has ${connected + failing + broken} connections; revoke them first`)
  }
  await changed(ports, caller, { remove: 'app', tenant: caller.tenant, keyCodeRef }, 'app.removed', keyCodeRef)
}

export async function listCallers(ports: Ports, caller: Caller): Promise<CallerRecord[]> {
  await allow(ports, caller, 'read:callers', 'callers')
  return ports.store.records.callers(caller.tenant)
}

/** Takes effect at once here, and within a second in other processes: tokens that it holds stop working too. */
export async function setCallerDisabled(
  ports: Ports,
  caller: Caller,
  clientId: string,
  disabled: boolean,
): Promise<CallerRecord> {
  await allow(ports, caller, 'write:callers', clientId)
  const found = await existingCaller(ports, caller.tenant, clientId)
  const next = { ...found, disabled }
  await changed(ports, caller, { put: 'caller', caller: next }, disabled ? 'caller.disabled' : 'caller.enabled', clientId)
  return next
}

export async function removeCaller(ports: Ports, caller: Caller, clientId: string): Promise<void> {
  await allow(ports, caller, 'write:callers', clientId)
  await existingCaller(ports, caller.tenant, clientId)
  await changed(ports, caller, { remove: 'caller', clientId }, 'caller.removed', clientId)
}

async function existingApp(ports: Ports, tenant: string, keyCodeRef: string): Promise<App> {
  const app = await ports.store.records.app(tenant, keyCodeRef)
  if (!app) throw new BrokerError('APP_NOT_FOUND', `no app with key_code_ref ${keyCodeRef}`)
  return app
}

async function existingCaller(ports: Ports, tenant: string, clientId: string): Promise<CallerRecord> {
  const found = await ports.store.records.caller(clientId)
  if (found?.tenant !== tenant) throw new BrokerError('NOT_FOUND', `no caller ${clientId}`)
  return found
}

async function changed(
  ports: Ports,
  caller: Caller,
  change: Parameters<Ports['store']['records']['change']>[0][number],
  action: OtherFact['action'],
  subject: string,
): Promise<void> {
  await ports.store.records.change(
    [change],
    [{ tenant: caller.tenant, at: ports.now(), actor: caller.name, action, subject, reason: null }],
  )
  await ports.registry.changed()
}

/** Whose tokens are taken is for operators alone: a tenant that could say so could say who its callers are to others. */
export async function listIssuers(ports: Ports): Promise<TrustedIssuer[]> {
  return ports.store.records.trustedIssuers()
}

/** Its tokens are refused at once here, and within a second in other processes. Says whether there was one. */
export async function removeIssuer(ports: Ports, actor: string, issuer: string): Promise<boolean> {
  const known = await ports.store.records.trustedIssuers()
  if (!known.some((one) => one.issuer === issuer)) return false
  const told = { tenant: '*', at: ports.now(), actor, action: 'issuer.removed', subject: issuer, reason: null } as const
  await ports.store.records.change([{ remove: 'issuer', issuer }], [told])
  await ports.registry.changed()
  return true
}
