/** Whether a request was meant for us: a name that somebody else pointed at this address (DNS rebinding) is none of ours. */

import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { BrokerError } from '../core/errors.ts'
import { unmapped } from '../core/pins.ts'

/** Hosts known to be right, as they were written; whatever is beyond is looked at each time. */
const REMEMBERED_MAX = 100

export interface HostOptions {
  readonly publicUrl: string
  /** Further names: how others in a private network reach us, say. */
  readonly allowedHosts: readonly string[]
  readonly isTrustedProxy: (address: string) => boolean
}

/** An error to answer with, or null. */
export function hostCheck({
  publicUrl,
  allowedHosts,
  isTrustedProxy,
}: HostOptions): (request: FastifyRequest) => BrokerError | null {
  const names = new Set([new URL(publicUrl).hostname, ...allowedHosts.map((host) => host.toLowerCase())])
  const right = new Set<string>()

  const isOurs = (host: string, request: FastifyRequest): boolean => {
    if (right.has(host)) return true
    const name = nameOf(host)
    if (name === null) return false
    const ours = names.has(name) || isLoopback(name) || isListening(name, request)
    if (ours && right.size < REMEMBERED_MAX) right.add(host)
    return ours
  }

  return (request) => {
    const { host = '', 'x-forwarded-host': forwarded } = request.headers
    if (right.has(host) || isOurs(host, request)) return null
    const proxied = typeof forwarded === 'string' && isTrustedProxy(request.socket.remoteAddress ?? '')
    if (proxied && isOurs(forwarded.split(',').at(-1)!.trim(), request)) return null
    return new BrokerError('MISDIRECTED_REQUEST', 'this host name is not one of this server: ask at its public URL')
  }
}

/** Lower case, without port and brackets; null: this is no host. */
function nameOf(host: string): string | null {
  if (!/^[\w.:[\]-]{1,260}$/.test(host) || !URL.canParse(`http://${host}`)) return null
  const { hostname, pathname } = new URL(`http://${host}`)
  return pathname === '/' ? hostname.replace(/\.$/, '') : null
}

function isLoopback(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost') || name === '[::1]' || (isIP(name) === 4 && name.startsWith('127.'))
}

/** By its number, which no name can be made to be. */
function isListening(name: string, { socket }: FastifyRequest): boolean {
  const address = name.replace(/^\[|\]$/g, '')
  return isIP(address) !== 0 && address === unmapped(socket.localAddress ?? '')
}
