/** Which addresses count as the internet, as somebody's own network, and as nobody's business. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { literalAddress, reachOf } from './address.ts'

const REACH = {
  public: [
    '1.1.1.1',
    '8.8.8.8',
    '100.63.255.255',
    '100.128.0.0',
    '172.15.255.255',
    '172.32.0.0',
    '192.167.1.1',
    '223.255.255.255',
  ],
  publicV6: ['2606:4700:4700::1111', '2a00:1450:4001:80b::200e', '::ffff:8.8.8.8', '::ffff:808:808'],
  private: [
    '127.0.0.1',
    '127.255.255.255',
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    '100.127.255.255',
  ],
  privateV6: ['::1', 'fd00::1', 'fc00::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:a00:1', '::ffff:192.168.0.1'],
  never: [
    '0.0.0.0',
    '0.1.2.3',
    '169.254.0.1',
    '169.254.169.254',
    '192.0.2.1',
    '198.18.0.1',
    '203.0.113.9',
    '224.0.0.1',
    '255.255.255.255',
  ],
  neverV6: [
    '::',
    'fe80::1',
    'febf::1',
    'ff02::1',
    '64:ff9b::808:808',
    '64:ff9b:1::1',
    '2002:7f00:1::',
    '2001::1',
    '2001:db8::1',
    '3fff::1',
  ],
  neverMapped: [
    '::ffff:169.254.169.254',
    '::ffff:0.0.0.0',
    '::127.0.0.1',
    '::ffff:0:127.0.0.1',
    'fec0::1',
    '100::1',
    'fe80::1%eth0',
  ],
  neverMetadata: ['100.100.100.200', '168.63.129.16', 'fd00:ec2::254', 'fd20:ce::254'],
  neverAnAddress: ['', 'localhost', '127.1', '0x7f000001', '2130706433'],
}

for (const [group, addresses] of Object.entries(REACH)) {
  const expected = /^(public|private|never)/.exec(group)?.[1]
  test(`S-39 ${group}: ${addresses.join(' ')}`, () => {
    for (const address of addresses) assert.equal(reachOf(address), expected, address)
  })
}

test('S-39 an IPv4 address written as IPv6 is judged as the IPv4 address it is', () => {
  fc.assert(fc.property(fc.ipV4(), (address) => assert.equal(reachOf(`::ffff:${address}`), reachOf(address))))
})

test('S-39 nothing is reachable on IPv6 outside of what has been handed out', () => {
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      const url = URL.parse(`http://[${address}]/`)
      if (!url || /^\[(::ffff:|[23])/.test(url.hostname)) return
      assert.notEqual(reachOf(literalAddress(url.hostname) ?? ''), 'public')
    }),
  )
})

test('S-39 decimal, octal, hexadecimal and shortened notations are the address they stand for', () => {
  for (const host of [
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '127.1',
    '0x7f.1',
    '127.0.0.1.',
    '%31%32%37.0.0.1',
    '１２７.0.0.1',
  ]) {
    assert.equal(literalAddress(new URL(`http://${host}/`).hostname), '127.0.0.1', host)
  }
})
