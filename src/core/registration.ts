/** Opens an app's secrets and looks up its provider: what a mode needs to speak to the provider in the app's name. */

import type { App, Registration } from './app.ts'
import { BrokerError } from './errors.ts'
import type { Ports, Row } from './ports.ts'

export function appRow({ tenant, keyCodeRef }: Pick<App, 'tenant' | 'keyCodeRef'>): Row {
  return { tenant, table: 'apps', id: keyCodeRef }
}

/** Throws `APP_NOT_FOUND` when the app, or its provider, was removed. */
export async function registrationOf(
  ports: Ports,
  tenant: string,
  keyCodeRef: string,
): Promise<{ app: App; registration: Registration }> {
  const app = await ports.registry.app(tenant, keyCodeRef)
  if (!app) throw new BrokerError('APP_NOT_FOUND', `no app with key_code_ref ${keyCodeRef}`)
  const provider = await ports.registry.provider(app.provider)
  if (!provider)
    throw new BrokerError('APP_NOT_FOUND', `the app ${keyCodeRef} names the provider ${app.provider}, which is not there`)

  const { dataKey, clientSecret, privateKey } = app.sealed
  const row = await ports.seal.load(appRow(app), dataKey)
  return {
    app,
    registration: {
      provider,
      clientId: app.clientId,
      clientSecret: clientSecret && row.open('client_secret', clientSecret),
      privateKey: privateKey && row.open('private_key', privateKey),
      config: app.config,
    },
  }
}
