/** How much one may ask: limits of callers and addresses, and guesses, which cost only those who guess. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Guesses, networkOf } from '../../src/http/guesses.ts'
import { RateLimit } from '../../src/http/rate-limit.ts'
import { type Answer, answerOf, CALLERS, HOUR, MINUTE, SECOND, startWorld, type World } from '../world.ts'

const secret = 'l'.repeat(44)

async function limited(world: World, client_id: string, rate_limit: string | undefined): Promise<() => Promise<Answer>> {
  const json = { client_id, client_secret: secret, scopes: ['read:apps'], owner: 'o', expires: '2100-01-01' }
  const { status, text } = await world.ask('POST', '/api/v1/callers', { json: { ...json, ...(rate_limit && { rate_limit }) } })
  assert.equal(status, 200, text)
  const body = new URLSearchParams({ grant_type: 'client_credentials', client_id, client_secret: secret })
  const got = await answerOf(await fetch(`${world.url}/oauth2/token`, { method: 'POST', body }))
  const headers = { authorization: `Bearer ${String(got.body['access_token'])}` }
  return () => world.ask('GET', '/api/v1/apps', { as: null, headers })
}

function told({ headers }: Answer): (number | null)[] {
  return ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset'].map((name) => {
    const value = headers.get(name)
    return value === null ? null : Number(value)
  })
}

describe('S-75 a limit of requests', () => {
  test('of a caller is its own, is told with every answer, and begins anew each minute', async (t) => {
    const world = await startWorld()
    t.after(() => world[Symbol.asyncDispose]())
    const asks = await limited(world, 'few', '3/min')
    const others = await limited(world, 'many', undefined)
    const answers = []
    for (let i = 0; i < 5; i++) answers.push(await asks())
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200, 429, 429],
    )
    assert.deepEqual(
      answers.map((answer) => told(answer).slice(0, 2)),
      [
        [3, 2],
        [3, 1],
        [3, 0],
        [3, 0],
        [3, 0],
      ],
    )
    for (const answer of answers) {
      const reset = told(answer)[2]!
      assert(Number.isInteger(reset) && reset > 0 && reset <= 60, String(reset))
    }
    const { code, headers } = answers[4]!
    assert.equal(code, 'TOO_MANY_REQUESTS')
    assert.equal(headers.get('retry-after'), headers.get('ratelimit-reset'))
    const free = await others()
    assert.deepEqual([free.status, told(free)], [200, [null, null, null]])
    world.pass(MINUTE)
    assert.equal((await (await limited(world, 'few', '3/min'))()).status, 200)
  })

  test('of a caller goes with it, however many tokens it has, and can be changed', async (t) => {
    const world = await startWorld()
    t.after(() => world[Symbol.asyncDispose]())
    const first = await limited(world, 'few', '2/min')
    const second = await limited(world, 'few', '2/min')
    assert.deepEqual([(await first()).status, (await second()).status, (await first()).status], [200, 200, 429])
    await limited(world, 'few', '4/min')
    assert.deepEqual([(await first()).status, (await second()).status, (await first()).status], [200, 200, 429])
    await limited(world, 'few', undefined)
    assert.equal((await first()).status, 200)
  })

  test('of an address is for all that comes from there, whoever asks and whatever for', async (t) => {
    const world = await startWorld({ environment: { LATCHSTRING_REQUESTS_PER_MINUTE: '6' } })
    t.after(() => world[Symbol.asyncDispose]())
    const statuses = []
    for (const path of [
      '/healthz',
      '/connect/x',
      '/api/v1/apps',
      '/oauth2/token',
      '/nowhere',
      '/.well-known/jwks',
      '/api/v1/apps',
      '/connect/x',
    ])
      statuses.push((await fetch(`${world.url}${path}`)).status)
    assert.deepEqual(statuses.slice(-2), [429, 429])
    assert(!statuses.slice(0, 6).includes(429), statuses.join())
    const page = await fetch(`${world.url}/connect/x`)
    assert.match(await page.text(), /too many attempts from where you are/, 'and a page says why')
    assert(Number(page.headers.get('retry-after')) > 0)
    assert.equal(page.headers.get('retry-after'), page.headers.get('ratelimit-reset'))
    world.pass(MINUTE)
    assert.equal((await fetch(`${world.url}/.well-known/jwks`)).status, 200)
  })

  test('that cannot be counted any more is kept, not given up', () => {
    let now = 0
    const limit = new RateLimit(() => now, 2)
    for (const name of ['a', 'b']) assert.equal(limit.take(name, 2).spent, false)
    assert.equal(limit.take('c', 2).spent, true)
    assert.equal(limit.take('a', 2).spent, false, 'who is counted goes on')
    now += MINUTE
    assert.equal(limit.take('c', 2).spent, false)
    const guesses = new Guesses(5, () => now, 1)
    assert.equal(guesses.failed('192.0.2.1'), null)
    assert.equal(guesses.failed('192.0.2.2'), MINUTE)
  })
})

test('a clock that was ahead and is set right locks nobody out for as long as it was', () => {
  let now = HOUR
  const limit = new RateLimit(() => now)
  limit.take('a', 2)
  now = 0
  for (let minute = 0; minute < 10; minute++, now += MINUTE)
    for (let time = 0; time < 2; time++) assert.equal(limit.take('a', 2).spent, false)
})

describe('S-75 guesses', () => {
  const trying = async (world: World, client_id: string, client_secret: string): Promise<number> => {
    const body = new URLSearchParams({ grant_type: 'client_credentials', client_id, client_secret })
    return (await fetch(`${world.url}/oauth2/token`, { method: 'POST', body })).status
  }

  test('at somebody’s secret never lock them out: a right one is taken from the same address, at once', async (t) => {
    const world = await startWorld({ failedGuessesPerMinute: 3 })
    t.after(() => world[Symbol.asyncDispose]())
    const statuses = []
    for (let i = 0; i < 50; i++) statuses.push(await trying(world, 'backend', 'w'.repeat(44)))
    assert.deepEqual([...new Set(statuses)], [401, 429])
    assert.equal(await trying(world, 'backend', CALLERS.backend.secret), 200)
    assert.equal(await trying(world, 'backend', 'w'.repeat(44)), 429)
    world.pass(61 * SECOND)
    assert.equal(await trying(world, 'backend', 'w'.repeat(44)), 401)
  })

  test('cost no signature: a wrong secret is answered without what a right one costs', async (t) => {
    const world = await startWorld()
    t.after(() => world[Symbol.asyncDispose]())
    const spent = async (client_secret: string): Promise<number> => {
      const times = []
      for (let i = 0; i < 40; i++) {
        const before = process.cpuUsage()
        await trying(world, 'backend', client_secret)
        const { user, system } = process.cpuUsage(before)
        times.push(user + system)
      }
      return times.toSorted((a, b) => a - b)[10]!
    }
    await spent(CALLERS.backend.secret)
    const [right, wrong] = [await spent(CALLERS.backend.secret), await spent('w'.repeat(44))]
    assert(wrong < right, `a wrong one took ${wrong} µs of the processor, a right one ${right} µs`)
  })

  test('from one IPv6 network count together, however many addresses it has', () => {
    const same = ['2001:db8:1:2::1', '2001:db8:1:2:ffff:ffff:ffff:ffff', '2001:0db8:0001:0002:0::9', '2001:DB8:1:2::']
    assert.deepEqual([...new Set(same.map(networkOf))], ['2001:db8:1:2'])
    assert.notEqual(networkOf('2001:db8:1:3::1'), networkOf('2001:db8:1:2::1'))
    assert.equal(networkOf('::ffff:192.0.2.7'), '192.0.2.7')
    assert.equal(networkOf('192.0.2.7'), '192.0.2.7')
    assert.equal(networkOf('::1'), '0:0:0:0')
    assert.equal(networkOf('fe80::1%eth0'), 'fe80:0:0:0')
  })
})
