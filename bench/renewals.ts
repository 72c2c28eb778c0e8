/** Renewals of tokens that have all ended, each asked for once, a number of them at once; and everything that ended at the same moment. */

import { seededSession } from '../cli/seed.ts'
import type { Figure } from './figures.ts'
import { type LoadResult, load } from './load.ts'
import type { Kind, Stage } from './stage.ts'

const AT_ONCE = 64
const WARM = 500
const SECONDS_MAX = 1200
const WATCH_MS = 250

/** Only callers cause renewals, so that the rate is theirs; the provider counts each, and each one that came twice. */
export async function renewals(stage: Stage, kind: Kind, count: number): Promise<Figure> {
  const store = await stage.filled(kind, WARM + count, { expired: true })
  const broker = await stage.broker(store, { ahead: false })
  try {
    await ask(broker, 0, WARM)
    await counted(stage, 'DELETE') // from here on it knows of none, and all that comes is new to it
    const [before, databaseBefore] = [await broker.state(), await stage.databaseState(kind)]
    const result = await ask(broker, WARM, WARM + count)
    const [after, databaseAfter] = [await broker.state(), await stage.databaseState(kind)]
    const { renewals: upstream, spentTwice } = await counted(stage, 'GET')
    if (result.failed > 0 || spentTwice > 0)
      throw new Error(`${result.failed} renewals failed, ${spentTwice} refresh tokens were sent twice`)
    return {
      id: `renewals.${kind.toLowerCase()}`,
      what: `renewals of ended tokens, ${AT_ONCE} at once, ${kind}`,
      value: result.requestsPerSecond,
      unit: '/s',
      more: {
        p50Ms: result.p50Ms,
        p99Ms: result.p99Ms,
        processorMicros: (after.cpu - before.cpu) / count,
        ...(kind === 'PostgreSQL' && { databaseMicros: (databaseAfter.cpu - databaseBefore.cpu) / count }),
      },
      note: `${upstream} requests upstream for ${count} renewals`,
    }
  } finally {
    await broker.stop()
    await counted(stage, 'DELETE')
  }
}

/** F-44: as many ended at once, all asked for as fast as 64 callers can, while others ask now and then for what is fresh again. */
export async function sameMinute(stage: Stage, kind: Kind, count: number): Promise<Figure> {
  const store = await stage.filled(kind, count, { expired: true })
  const broker = await stage.broker(store)
  let peak = (await broker.state()).rss
  const watch = setInterval(() => void broker.state().then(({ rss }) => (peak = Math.max(peak, rss))), WATCH_MS)
  try {
    let begun = 0
    let over = false
    const storm = load({
      address: broker.address,
      connections: AT_ONCE,
      seconds: SECONDS_MAX,
      headers: { authorization: `Bearer ${broker.bearer}` },
      path: () => (begun < count ? pathOf(begun++) : null),
    }).finally(() => (over = true))
    const meanwhile = load({
      address: broker.address,
      connections: 2,
      seconds: SECONDS_MAX,
      headers: { authorization: `Bearer ${broker.bearer}` },
      // Those that were asked for longer ago than a storm of callers can keep waiting.
      path: () => (over ? null : pathOf(Math.floor(Math.random() * Math.max(begun - 4 * AT_ONCE, 1)))),
      pauseMs: 5,
    })
    const [stormed, calm] = await Promise.all([storm, meanwhile])
    const { renewals: upstream, spentTwice } = await counted(stage, 'GET')
    if (stormed.failed + calm.failed + spentTwice > 0)
      throw new Error(`${stormed.failed + calm.failed} calls failed, ${spentTwice} refresh tokens were sent twice`)
    return {
      id: `minute.${kind.toLowerCase()}`,
      what: `${count} tokens that ended at once, all fresh again, ${kind}`,
      value: stormed.requests / stormed.requestsPerSecond,
      unit: 's',
      more: {
        waitingP50Ms: stormed.p50Ms,
        waitingP99Ms: stormed.p99Ms,
        freshMeanwhileP99Ms: calm.p99Ms,
        peakMb: peak / 1e6,
      },
      note: `${upstream} requests upstream`,
    }
  } finally {
    clearInterval(watch)
    await broker.stop()
    await counted(stage, 'DELETE')
  }
}

function ask({ address, bearer }: { address: string; bearer: string }, from: number, to: number): Promise<LoadResult> {
  let next = from
  return load({
    address,
    connections: AT_ONCE,
    seconds: SECONDS_MAX,
    headers: { authorization: `Bearer ${bearer}` },
    path: () => (next < to ? pathOf(next++) : null),
  })
}

function pathOf(index: number): string {
  return `/api/v1/connected_apps/token?session_id=${seededSession('bench', index)}`
}

/** What the provider has seen since it last forgot. */
async function counted({ provider }: Stage, method: 'GET' | 'DELETE'): Promise<{ renewals: number; spentTwice: number }> {
  const answer = await fetch(provider.address, { method })
  return (await answer.json()) as { renewals: number; spentTwice: number }
}
