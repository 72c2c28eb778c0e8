/** Whom proxies speak for, as addresses: some write the port of the connection behind each (`203.0.113.7:49152`, `[2001:db8::1]:49152`). */

import type { IncomingHttpHeaders } from 'node:http'

/** One client would be another one for each connection that it makes. */
export function forgetPorts(headers: IncomingHttpHeaders): void {
  const { 'x-forwarded-for': forwarded } = headers
  if (typeof forwarded === 'string') headers['x-forwarded-for'] = forwarded.split(',').map(withoutPort).join(',')
}

function withoutPort(address: string): string {
  return address.trim().replace(/^\[(.+)\](?::\d+)?$|^([\d.]+):\d+$/, '$1$2')
}
