/** Secrets that are used once must be beyond guessing. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mint, mintId, sameDigest } from './one-time.ts'

const COUNT = 1_000_000
const BITS = 256

test('S-14 a million states are all different, and each of their 256 bits is as often set as not', () => {
  const seen = new Set<string>()
  const ones = new Uint32Array(BITS)
  for (let n = 0; n < COUNT; n++) {
    const state = mint().reveal()
    seen.add(state)
    // Every bit of every state would take long, and a sample of 62,500 shows a bias of one percent.
    if (n % 16 === 0) count(ones, Buffer.from(state, 'base64url'))
  }
  assert.equal(seen.size, COUNT)
  const sampled = COUNT / 16
  // Six standard deviations: chance alone does that to none of 256 bits in a hundred thousand runs.
  const tolerance = 6 * Math.sqrt(sampled / 4)
  for (const [bit, set] of ones.entries()) assert.ok(Math.abs(set - sampled / 2) < tolerance, `bit ${bit} was set ${set} times`)
})

test('S-14 two states of the same moment have no more in common than any two', () => {
  let same = 0
  for (let n = 0; n < 2000; n++) {
    const [a, b] = [Buffer.from(mint().reveal(), 'base64url'), Buffer.from(mint().reveal(), 'base64url')]
    same += a.filter((byte, at) => byte === b[at]).length
  }
  // Of 64,000 pairs of bytes one in 256 is the same by chance: 250, give or take 16.
  assert.ok(same > 150 && same < 350, `${same} bytes were the same`)
})

test('what is minted is 43 characters of base64url, which is what PKCE takes, and ids are 24', () => {
  assert.match(mint().reveal(), /^[A-Za-z0-9_-]{43}$/)
  assert.match(mintId(), /^[A-Za-z0-9_-]{24}$/)
})

test('no id begins with a dash: on the command line it would be taken for an option', () => {
  for (let n = 0; n < 2000; n++) assert.match(mintId(), /^[A-Za-z0-9_]/)
})

test('digests are the same only when they are, and nothing is the same as none', () => {
  const secret = mint()
  assert.ok(sameDigest(secret.digest(), secret.digest()))
  assert.ok(!sameDigest(secret.digest(), mint().digest()))
  assert.ok(!sameDigest(secret.digest(), secret.digest().slice(1)))
  assert.ok(!sameDigest(null, null))
  assert.ok(!sameDigest(secret.digest(), null))
})

function count(ones: Uint32Array, bytes: Buffer): void {
  for (let bit = 0; bit < BITS; bit++) ones[bit]! += (bytes[bit >> 3]! >> (bit & 7)) & 1
}
