/** One worker of `latchstring serve --workers N`: serves on the port that its primary holds, until that says so or is gone. */

import cluster, { type Worker } from 'node:cluster'
import { readConfig } from '../src/config.ts'
import { type Broker, openBroker, serve } from '../src/main.ts'
import type { Counts } from '../src/metrics.ts'
import { failureOf } from './failure.ts'
import { giveBackMemory } from './give-back.ts'
import { Line } from './line.ts'
import type { PrimaryAnswers } from './primary.ts'
import { askedToStop } from './stopping.ts'
import { outliveStandardError, remark } from './terminal.ts'

/** What a primary asks its worker. */
export interface WorkerAnswers {
  stop(): void
  /** What another one changed. */
  forget(): void
  counts(): Promise<Counts>
}

/** When there is nobody to count, nobody is let in on a guess, or with a proof that may have been used. */
const WAIT_MS = 1000

if (!cluster.worker) throw new Error('latchstring serve --workers starts this')
outliveStandardError()
try {
  await work(cluster.worker)
} catch (error) {
  const { sentence, exitCode } = failureOf(error)
  remark(`latchstring: ${sentence}`)
  process.exitCode = exitCode
} finally {
  if (process.connected) cluster.worker.disconnect()
}

async function work(worker: Worker): Promise<void> {
  const told = Promise.withResolvers<void>()
  const signalled = askedToStop()
  let broker: Broker | null = null
  const primary = new Line<PrimaryAnswers>(worker, {
    stop: () => told.resolve(),
    forget: () => broker?.ports.registry.forget(),
    counts: async () => (await broker?.metrics.counts()) ?? [],
  } satisfies WorkerAnswers)
  worker.once('disconnect', () => {
    if (worker.exitedAfterDisconnect) return
    // Otherwise Node ends this process at once, in the middle of whatever it does.
    worker.exitedAfterDisconnect = true
    broker?.ports.log('error', 'the primary is gone: this worker stops', { worker: process.pid })
    told.resolve()
  })

  const config = readConfig()
  broker = await openBroker(config, { tellOthers: () => primary.ask('changed', undefined).catch(() => {}) })
  const machine = {
    failedGuess: (address: string) => primary.ask('failedGuess', address).catch(() => WAIT_MS),
    isFirst: (proof: string) => primary.ask('isFirst', proof).catch(() => false),
    showMetrics: () => primary.ask('showMetrics', undefined),
  }
  const server = await serve(broker, config, { machine }).catch(async (error: unknown) => {
    await broker?.close()
    throw error
  })
  // Nobody to tell: then it stops.
  await primary.ask('serves', server.address).catch(() => {})
  giveBackMemory()
  await Promise.race([signalled, told.promise])
  await server.stop()
}
