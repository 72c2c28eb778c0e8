/** Whether an attempt still leads where it began: apps and providers may be set up anew, or removed, while its user is away. */

import type { App, Registration } from './app.ts'
import type { Attempt } from './attempt.ts'
import { BrokerError } from './errors.ts'
import { grantHosts, leadsElsewhere } from './grant-hosts.ts'
import type { Ports } from './ports.ts'
import { registrationOf } from './registration.ts'

export interface Changed {
  readonly reason: 'provider_changed' | 'app_removed'
  readonly detail: string
}

/** A code, or a grant, of the one server is nothing for another. */
export async function asBegun(
  ports: Ports,
  { tenant, app, hosts }: Pick<Attempt, 'tenant' | 'app' | 'hosts'>,
): Promise<{ readonly app: App; readonly registration: Registration } | Changed> {
  try {
    const found = await registrationOf(ports, tenant, app)
    if (!leadsElsewhere(hosts, grantHosts(found.registration))) return found
    return { reason: 'provider_changed', detail: 'the provider was given another host while the user was away' }
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'APP_NOT_FOUND') throw error
    return { reason: 'app_removed', detail: 'the app was removed while the user was away' }
  }
}
