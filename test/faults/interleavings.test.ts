/**
 * Three processes at one store, and a provider that gives nothing again, in as many orders as chance brings: processes that stand still or die, a store
 * that fails before or after it has written, journals that take nothing, answers that are lost. Time is none but what they wait for.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renew } from '../../src/core/renew.ts'
import { Secret } from '../../src/core/secret.ts'
import { connect, NOW } from '../../src/store/samples.ts'
import { chanceOf, LIFE_MS, opened, type Process, sealed, virtualWorld } from './virtual-world.ts'

const SEEDS = 80
const ACTIONS = 40

function scene(seed: number) {
  const chance = chanceOf(seed)
  const often = (most: number) => (chance() < 0.5 ? chance() * most : 0)
  const odds = { stall: chance() * 0.1, store: often(0.4), journal: often(0.7), lost: often(0.3), outage: 0 }
  const deaths = often(0.1)
  const world = virtualWorld(chance, odds, { window: 'none' })
  const processes = ['a', 'b', 'c'].map(world.begun)
  const ask = async ({ ports }: Process) => {
    const found = await ports.store.connections.find('acme', 'session-1')
    if (found) await renew(ports, found)
  }
  const idle = () => processes.every(({ ports }) => ports.flights.size === 0)
  const untilIdle = async () => {
    for (let steps = 0; steps < 3000 && !idle(); steps++) await world.time.step()
  }
  return { ...world, deaths, processes, untilIdle, ask: (who: Process) => void ask(who).catch(() => {}) }
}

test('F-03 F-05 F-06 F-08 F-39 in whatever order it happens: no refresh token is sent again whose successor anybody has had, and none is lost that was there', async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { time, provider, store, chance, deaths, faults, processes, begun, untilIdle, ask } = scene(seed)
    const grant = provider.open()
    const tokens = { accessToken: sealed(new Secret('access')), refreshToken: sealed(new Secret(grant.current)) }
    await connect(store, { expiresAt: NOW + LIFE_MS, sealed: { dataKey: Uint8Array.of(1), ...tokens, extra: null } })
    for (let action = 0; action < ACTIONS; action++) {
      const which = Math.floor(chance() * processes.length)
      const what = chance()
      if (what < 0.5) ask(processes[which]!)
      else if (what < 0.5 + deaths) {
        faults.deaths += 1
        processes[which]!.life.dead = true
        processes[which] = begun(`after ${action}`)
      } else if (what > 0.85) {
        await untilIdle()
        time.now += LIFE_MS + 1
      }
      for (let steps = chance() * 20; steps > 0; steps--) await time.step()
    }
    faults.on = false
    for (let round = 0; round < 4; round++) {
      await untilIdle()
      time.now += LIFE_MS + 1
      for (let steps = 0; steps < 60; steps++) await time.step()
      for (const one of processes) ask(one)
      for (let steps = 0; steps < 60; steps++) await time.step()
    }
    await untilIdle()

    const { health, sealed: left } = (await store.connections.find('acme', 'session-1'))!
    const token = opened(left!.refreshToken!).reveal()
    assert.deepEqual(provider.reused, [], `seed ${seed}: sent again`)
    if (health.state === 'connected') assert.deepEqual([token, grant.alive], [grant.current, true], `seed ${seed}: works`)
    else assert.equal(health.state === 'broken' && health.reason, 'rotation_response_lost', `seed ${seed}: says why`)
    // Where nobody died and no answer was lost, at most a lease was held too long under which nothing was sent.
    if (faults.deaths + provider.unheard.size === 0) assert.equal(token, grant.current, `seed ${seed}: kept`)
  }
})
