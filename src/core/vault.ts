/** Credentials in and out of a connection's sealed fields. */

import type { Connection, Credentials, Glance, SealedCredentials } from './connection.ts'
import { BrokerError } from './errors.ts'
import type { Ports, Row, RowSeal } from './ports.ts'
import { Secret } from './secret.ts'

export function connectionRow({ tenant, id }: Pick<Connection, 'tenant' | 'id'>): Row {
  return { tenant, table: 'connections', id }
}

/** The one thing the token path opens. */
export function openAccessToken(ports: Ports, connection: Pick<Glance, 'tenant' | 'id' | 'sealed'>): Secret | Promise<Secret> {
  return opened(ports, connection, (row, sealed) => row.open('access_token', sealed.accessToken))
}

/** null: it has none. */
export async function openRefreshToken(ports: Ports, connection: Connection): Promise<Secret | null> {
  return opened(ports, connection, (row, { refreshToken }) => refreshToken && row.open('refresh_token', refreshToken))
}

/** Everything a connection holds, and the seal that its successors go back under. */
export async function openCredentials(ports: Ports, connection: Connection): Promise<{ credentials: Credentials; row: RowSeal }> {
  return opened(ports, connection, (row, { accessToken, refreshToken, extra }) => {
    const { also, kept } = extra ? parseExtra(row.open('extra', extra)) : { also: {}, kept: {} }
    const credentials: Credentials = {
      kind: 'oauth2',
      accessToken: row.open('access_token', accessToken),
      refreshToken: refreshToken && row.open('refresh_token', refreshToken),
      also,
      kept,
    }
    return { credentials, row }
  })
}

/** Fields of the provider's answer and of its callback that an application needs besides the token. Nothing is opened where there are none. */
export async function openKept(ports: Ports, connection: Connection): Promise<Credentials['kept']> {
  if (connection.health.state === 'revoked' || !connection.sealed?.extra) return {}
  try {
    return await opened(ports, connection, (row, { extra }) => (extra ? parseExtra(row.open('extra', extra)).kept : {}))
  } catch (error) {
    // The operator was told. How the connection stands can be told all the same.
    if (error instanceof BrokerError && error.code === 'INTEGRITY_FAILURE') return {}
    throw error
  }
}

/** Cannot fail: whatever can was done to get the seal. */
export function sealCredentials(row: RowSeal, { accessToken, refreshToken, also, kept }: Credentials): SealedCredentials {
  const hasExtra = Object.keys(also).length > 0 || Object.keys(kept).length > 0
  return {
    dataKey: row.dataKey,
    accessToken: row.seal('access_token', accessToken),
    refreshToken: refreshToken && row.seal('refresh_token', refreshToken),
    extra: hasExtra ? row.seal('extra', Secret.ofJson({ also, kept })) : null,
  }
}

/** What does not open is told to the operator, and to the history, before the caller gets an error: once in an hour. */
function opened<T, Sealed extends Pick<SealedCredentials, 'dataKey'>>(
  ports: Ports,
  connection: Pick<Connection, 'tenant' | 'id'> & { readonly sealed: Sealed | null },
  open: (row: RowSeal, sealed: Sealed) => T,
): T | Promise<T> {
  const { sealed } = connection
  if (!sealed) throw new BrokerError('INVALID_SESSION', 'this connection holds nothing any more')
  try {
    const loading = ports.seal.load(connectionRow(connection), sealed.dataKey)
    if (!(loading instanceof Promise)) return open(loading, sealed)
    return loading.then((row) => open(row, sealed)).catch((error: unknown) => unopened(ports, connection, error))
  } catch (error) {
    return unopened(ports, connection, error)
  }
}

async function unopened(ports: Ports, { tenant, id }: Pick<Connection, 'tenant' | 'id'>, error: unknown): Promise<never> {
  if (!(error instanceof BrokerError) || error.code !== 'INTEGRITY_FAILURE') throw error
  // The id stands beside it where it is needed, and whole only where nobody else reads.
  const reason = error.message.replaceAll(` ${id}`, '')
  if (ports.unopened.isToTell({ tenant, id }, reason, ports.now())) {
    ports.log('error', 'sealed credentials do not open', { tenant, session: id, reason })
    const told = {
      tenant,
      at: ports.now(),
      actor: 'broker',
      action: 'connection.integrity_failure',
      subject: id,
      reason,
    } as const
    await ports.store.record([told]).catch((failure: unknown) => {
      ports.unopened.untold({ tenant, id }, reason)
      throw failure
    })
  }
  throw new BrokerError('INTEGRITY_FAILURE', reason, { cause: error.cause })
}

function parseExtra(extra: Secret): Pick<Credentials, 'also' | 'kept'> {
  const { also, kept } = extra.parseJson<{ also: Record<string, string>; kept: Record<string, string> }>()
  return { also: Object.fromEntries(Object.entries(also).map(([name, token]) => [name, new Secret(token)])), kept }
}
