/** What a measured process tells the benchmark that started it: where it listens, how much it used, where its time went. */

import { Session } from 'node:inspector'
import type { Profile } from './profile.ts'

export interface State {
  readonly rss: number
  /** Microseconds of processor that the process has had. */
  readonly cpu: number
}

export type Question = 'state' | 'profile' | 'profiled' | 'stop'

/** Says that it is ready, and answers from then on. */
export function answering(ready: { readonly address: string } & Record<string, unknown>, stop: () => Promise<unknown>): void {
  let profiler: Session | null = null
  const answers: Record<Question, () => void> = {
    state: () => {
      const { user, system } = process.cpuUsage()
      send({ rss: process.memoryUsage.rss(), cpu: user + system } satisfies State)
    },
    // The profiler behind --cpu-prof, over the part that is of interest and not over the start.
    profile: () => {
      profiler = new Session()
      profiler.connect()
      profiler.post('Profiler.enable')
      profiler.post('Profiler.start', () => send('started'))
    },
    profiled: () => profiler?.post('Profiler.stop', (_error, { profile }) => send(profile satisfies Profile)),
    stop: () => void stop().then(() => process.disconnect()),
  }
  process.on('message', (question: Question) => answers[question]())
  // Whoever asked is gone, however that came about.
  process.once('disconnect', () => process.exit())
  send(ready)
}

function send(message: unknown): void {
  process.send?.(message)
}
