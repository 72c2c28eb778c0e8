/** Ports: as they are typed, and one that nobody listens on. */

import { randomInt } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { InvalidArgumentError } from 'commander'

export function portOf(text: string): number {
  const port = Number(text)
  if (!/^\d+$/.test(text) || port > 65_535) throw new InvalidArgumentError('It must be a whole number from 0 to 65535.')
  return port
}

/** Below what systems take for outgoing connections (32768 on Linux, 49152 elsewhere): there a port that is free may be taken the next moment. */
const LOWEST = 15_000
const HIGHEST = 32_000
const TRIES = 20

/**
 * The one that is preferred, if it is free, or any. Links and caller tokens carry the port, so it must be known before anything is built
 * that could listen on it.
 */
export async function freePort(host: string, preferred = 0): Promise<number> {
  if (preferred !== 0 && (await isFree(host, preferred))) return preferred
  for (let tries = 0; tries < TRIES; tries++) {
    const port = randomInt(LOWEST, HIGHEST)
    if (await isFree(host, port)) return port
  }
  return heldFor(host, 0)
}

async function isFree(host: string, port: number): Promise<boolean> {
  return heldFor(host, port).then(
    () => true,
    () => false,
  )
}

/** Takes a port and gives it back: throws when it cannot be had. */
export async function heldFor(host: string, port: number): Promise<number> {
  const server = createServer()
  await new Promise<void>((listening, failed) => server.once('error', failed).listen(port, host, listening))
  const { port: taken } = server.address() as AddressInfo
  await new Promise<void>((closed) => server.close(() => closed()))
  return taken
}
