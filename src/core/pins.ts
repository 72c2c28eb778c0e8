/** What a caller is pinned to: certain apps, certain addresses. What lies outside does not exist for it, or is refused. */

import { BlockList, isIP, isIPv4 } from 'node:net'

/** As an operator writes it. What is left out is not pinned. */
export interface Pins {
  /** By their `key_code_ref`. An app has one provider, so this pins to providers as well. */
  readonly apps?: readonly string[]
  /** Addresses, or ranges in CIDR notation. */
  readonly ip?: readonly string[]
}

/** Ready to be asked on every request. */
export interface Bounds {
  readonly apps: readonly string[] | null
  /** As they were written. */
  readonly ip: readonly string[] | null
  readonly addresses: BlockList | null
}

/** null, which costs nothing to check: there is no pin. */
export function boundsOf({ apps, ip }: Pins): Bounds | null {
  if (!apps && !ip) return null
  return { apps: apps ?? null, ip: ip ?? null, addresses: ip ? listOf(ip) : null }
}

/** What is wrong with an address or a range, or null. */
export function rangeProblem(text: string): string | null {
  const range = rangeOf(text)
  if (!range) return 'must be an address or a range, such as 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32'
  // 10.0.0.1/8 may mean one machine or a whole network: whoever wrote it must say.
  const { address, family, bits } = range
  if (bits < fullBits(family) && lowBitsSet(address, family, bits)) {
    return `must begin where its range does: ${address} lies within /${bits}`
  }
  return null
}

export function isWithin(addresses: BlockList, address: string): boolean {
  const plain = unmapped(address)
  const family = isIP(plain)
  return family !== 0 && addresses.check(plain, family === 4 ? 'ipv4' : 'ipv6')
}

/** An IPv4 client of a server that listens on IPv6. */
export function unmapped(address: string): string {
  const inner = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  return inner ?? address
}

export function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList()
  for (const text of ranges) {
    const range = rangeOf(text)
    // What cannot be read lets nobody in.
    if (range) list.addSubnet(range.address, range.bits, range.family)
  }
  return list
}

interface Range {
  readonly address: string
  readonly family: 'ipv4' | 'ipv6'
  readonly bits: number
}

function rangeOf(text: string): Range | null {
  const [, address = '', length] = /^([0-9A-Fa-f:.]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  if (isIP(address) === 0 || unmapped(address) !== address) return null
  const family = isIPv4(address) ? 'ipv4' : 'ipv6'
  const bits = length === undefined ? fullBits(family) : Number(length)
  return bits <= fullBits(family) ? { address, family, bits } : null
}

function fullBits(family: 'ipv4' | 'ipv6'): number {
  return family === 'ipv4' ? 32 : 128
}

function lowBitsSet(address: string, family: 'ipv4' | 'ipv6', bits: number): boolean {
  const groups = family === 'ipv4' ? address.split('.').map((part) => Number(part)) : groupsOf(address)
  const width = family === 'ipv4' ? 8 : 16
  const binary = groups.map((group) => group.toString(2).padStart(width, '0')).join('')
  return binary.slice(bits).includes('1')
}

/** The eight numbers of an IPv6 address, written out by the URL parser, which knows every way to shorten one. */
function groupsOf(address: string): number[] {
  const shortened = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [head = '', tail] = shortened.split('::')
  const [before, after] = [head, tail ?? ''].map((part) => (part === '' ? [] : part.split(':'))) as [string[], string[]]
  const zeros = Array.from({ length: tail === undefined ? 0 : 8 - before.length - after.length }, () => '0')
  return [...before, ...zeros, ...after].map((group) => Number.parseInt(group, 16))
}
