/** Which addresses the broker may speak to: an allow-list for IPv6, a list of everything special for IPv4 (IANA registries, and RFC 6890). */

import { BlockList, isIP } from 'node:net'

/** public: anywhere on the internet. private: loopback, and the networks people run at home and at work. never: all else. */
export type Reach = 'public' | 'private' | 'never'

/**
 * Never, even where private networks are allowed: what answers there is the machine's own cloud, which hands out credentials to whoever asks.
 * Link-local addresses, where most of them live, are refused as a whole.
 */
const METADATA = listOf(
  ['100.100.100.200', 32], // Alibaba Cloud, inside the carrier-grade range
  ['168.63.129.16', 32], // Azure, inside a public range
  ['fd00:ec2::', 32], // AWS, inside the unique local range
  ['fd20:ce::', 32], // Google Cloud
)

const PRIVATE = listOf(
  ['10.0.0.0', 8],
  ['100.64.0.0', 10], // carrier-grade NAT, and many overlay networks
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['::1', 128],
  ['fc00::', 7],
)

const SPECIAL = listOf(
  ['0.0.0.0', 8], // "this host": connecting to it reaches loopback
  ['169.254.0.0', 16], // link-local, and nearly every cloud's metadata service
  ['192.0.0.0', 24], // protocol assignments
  ['192.0.2.0', 24], // documentation
  ['192.31.196.0', 24], // AS112
  ['192.52.193.0', 24], // AMT relays
  ['192.88.99.0', 24], // 6to4 relays
  ['192.175.48.0', 24], // AS112
  ['198.18.0.0', 15], // benchmarks
  ['198.51.100.0', 24], // documentation
  ['203.0.113.0', 24], // documentation
  ['224.0.0.0', 4], // multicast
  ['240.0.0.0', 4], // reserved, and broadcast
  // Inside the global unicast range, but not ordinary hosts. Some carry an IPv4 address that the range hides.
  ['2001::', 23], // Teredo, ORCHID and other protocol assignments
  ['2001:db8::', 32], // documentation
  ['2002::', 16], // 6to4
  ['2620:4f:8000::', 48], // AS112
  ['3fff::', 20], // documentation
)

/** All that has been handed out on IPv6. NAT64 (64:ff9b::/96), link-local, multicast and the unspecified address are outside of it. */
const GLOBAL_UNICAST_V6 = listOf(['2000::', 3])
const MAPPED_V6 = listOf(['::ffff:0:0', 96])

/** An IPv4 address written as IPv6 (`::ffff:127.0.0.1`) is judged as the IPv4 address that it is. What is no address is never reached. */
export function reachOf(address: string): Reach {
  const version = isIP(address)
  if (version === 0) return 'never'
  const family = version === 4 ? 'ipv4' : 'ipv6'
  // BlockList compares mapped addresses with its IPv4 entries by itself.
  if (METADATA.check(address, family) || SPECIAL.check(address, family)) return 'never'
  if (PRIVATE.check(address, family)) return 'private'
  if (family === 'ipv4' || MAPPED_V6.check(address, family)) return 'public'
  return GLOBAL_UNICAST_V6.check(address, family) ? 'public' : 'never'
}

/** The address in a URL's host when it is one and no name; null for names. URL has normalised decimal, octal and hex notations before. */
export function literalAddress(hostname: string): string | null {
  const bare = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
  return isIP(bare) === 0 ? null : bare
}

function listOf(...subnets: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList()
  for (const [address, prefix] of subnets) list.addSubnet(address, prefix, address.includes(':') ? 'ipv6' : 'ipv4')
  return list
}
