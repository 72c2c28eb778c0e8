/** From names to addresses, so that a name whose servers are silent keeps no other waiting. */

import { promises as dns, type LookupAddress } from 'node:dns'
import { Flights } from '../core/flights.ts'

/** Resolves a name to all of its addresses. */
export type Lookup = (hostname: string) => Promise<readonly LookupAddress[]>

/** What the operating system knows, its hosts file included. It blocks a thread until it has an answer, and the whole process has two for this. */
export const askSystem: Lookup = (hostname) => dns.lookup(hostname, { all: true })

const TRY_MS = 2000
const TRIES = 2

/** What name servers know, asked without a thread: however many are silent, all others are heard. Default: those of the machine. */
export function nameServers(servers?: readonly string[]): Lookup {
  return async (hostname) => {
    // A new one for each name: which servers there are it reads when it is made.
    const resolver = new dns.Resolver({ timeout: TRY_MS, tries: TRIES })
    if (servers) resolver.setServers(servers)
    const [four, six] = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)])
    const found = [...addressesIn(four, 4), ...addressesIn(six, 6)]
    if (found.length === 0 && four.status === 'rejected') throw four.reason
    return found
  }
}

function addressesIn(answer: PromiseSettledResult<string[]>, family: 4 | 6): LookupAddress[] {
  return answer.status === 'fulfilled' ? answer.value.map((address) => ({ address, family })) : []
}

/** Whoever asks for a name while it is looked up waits for that answer: a provider takes up one thread, and not one for each of its connections. */
export function together(lookup: Lookup): Lookup {
  const flights = new Flights()
  return (hostname) => flights.join(hostname, () => lookup(hostname))
}
