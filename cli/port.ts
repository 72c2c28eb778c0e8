/** Ports: as they are typed, and one that nobody listens on. */

import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { InvalidArgumentError } from 'commander'

export function portOf(text: string): number {
  const port = Number(text)
  if (!/^\d+$/.test(text) || port > 65_535) throw new InvalidArgumentError('It must be a whole number from 0 to 65535.')
  return port
}

/**
 * The one that is preferred, if it is free, or any. Links and caller tokens carry the port, so it must be known before anything is built
 * that could listen on it.
 */
export async function freePort(host: string, preferred = 0): Promise<number> {
  try {
    return await heldFor(host, preferred)
  } catch (error) {
    if (preferred === 0) throw error
    return heldFor(host, 0)
  }
}

async function heldFor(host: string, port: number): Promise<number> {
  const server = createServer()
  await new Promise<void>((listening, failed) => server.once('error', failed).listen(port, host, listening))
  const { port: taken } = server.address() as AddressInfo
  await new Promise<void>((closed) => server.close(() => closed()))
  return taken
}
