/** What operators do with what is set up: look, remove, disable. Making it so is `apply`. */

import type { App } from './app.ts'
import { apply } from './apply.ts'
import { allow, allowedApps, type Caller, type CallerRecord } from './caller.ts'
import { BrokerError } from './errors.ts'
import type { OtherFact, Ports, RecordChange } from './ports.ts'
import { changeRecords, type Plan } from './records.ts'
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
 * that it is for this one too, only the operator can say (S-29). A new host, or another client, for connections that are there is the operator's to allow, too.
 */
export async function setApp(ports: Ports, caller: Caller, app: AppSetup): Promise<void> {
  await allow(ports, caller, 'write:apps', app.keyCodeRef, { app: app.keyCodeRef })
  const check = async () => {
    const same = (one: App) => one.provider === app.provider && one.clientId === app.clientId
    const tenants = new Set((await ports.store.records.apps(null)).filter(same).map(({ tenant }) => tenant))
    if (tenants.size > 0 && !tenants.has(caller.tenant)) {
      throw new BrokerError('CONFLICT', `the client id ${app.clientId} at ${app.provider} belongs to another tenant already`)
    }
  }
  await apply(ports, caller.name, { providers: [], apps: [app], callers: [] }, { check })
}

/** Throws `CONFLICT` while it has connections that are not revoked: removing it would leave them without a way to renew or revoke. */
export async function removeApp(ports: Ports, caller: Caller, keyCodeRef: string): Promise<void> {
  await allow(ports, caller, 'write:apps', keyCodeRef, { app: keyCodeRef })
  await changeRecords(ports, async () => {
    await existingApp(ports, caller.tenant, keyCodeRef)
    const { connected, failing, broken } = await ports.store.connections.count({ tenant: caller.tenant, app: keyCodeRef })
    if (connected + failing + broken > 0) {
      throw new BrokerError(
        'CONFLICT',
        `the app ${keyCodeRef} has ${connected + failing + broken} connections; revoke them first`,
      )
    }
    return planned(ports, caller, { remove: 'app', tenant: caller.tenant, keyCodeRef }, 'app.removed', keyCodeRef)
  })
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
  return changeRecords(ports, async () => {
    const next = { ...(await existingCaller(ports, caller.tenant, clientId)), disabled }
    const action = disabled ? 'caller.disabled' : 'caller.enabled'
    return { ...planned(ports, caller, { put: 'caller', caller: next }, action, clientId), result: next }
  })
}

export async function removeCaller(ports: Ports, caller: Caller, clientId: string): Promise<void> {
  await allow(ports, caller, 'write:callers', clientId)
  await changeRecords(ports, async () => {
    await existingCaller(ports, caller.tenant, clientId)
    return planned(ports, caller, { remove: 'caller', clientId }, 'caller.removed', clientId)
  })
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

function planned(
  { now }: Ports,
  { tenant, name: actor }: Caller,
  change: RecordChange,
  action: OtherFact['action'],
  subject: string,
): Plan<void> {
  return { changes: [change], facts: [{ tenant, at: now(), actor, action, subject, reason: null }], result: undefined }
}

/** Whose tokens are taken is for operators alone: a tenant that could say so could say who its callers are to others. */
export async function listIssuers(ports: Ports): Promise<TrustedIssuer[]> {
  return ports.store.records.trustedIssuers()
}

/** Its tokens are refused at once here, and within a second in other processes. Says whether there was one. */
export async function removeIssuer(ports: Ports, actor: string, issuer: string): Promise<boolean> {
  return changeRecords(ports, async () => {
    const known = await ports.store.records.trustedIssuers()
    if (!known.some((one) => one.issuer === issuer)) return { changes: [], facts: [], result: false }
    const told = { tenant: '*', at: ports.now(), actor, action: 'issuer.removed', subject: issuer, reason: null } as const
    return { changes: [{ remove: 'issuer', issuer }], facts: [told], result: true }
  })
}
