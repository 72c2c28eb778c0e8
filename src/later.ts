/** What can wait, and need not be done at all when the process stops before. */

import type { Ports } from './core/ports.ts'

export function laterOn(log: Ports['log']): { do: Ports['later']; stop(): Promise<void> } {
  const waiting = new Set<NodeJS.Timeout>()
  const running = new Set<Promise<void>>()
  return {
    do(ms, work) {
      const timer = setTimeout(() => {
        waiting.delete(timer)
        const run = work()
          .catch((error: unknown) => log('warn', 'what was put off could not be done', { error }))
          .finally(() => running.delete(run))
        running.add(run)
      }, ms).unref()
      waiting.add(timer)
    },
    async stop() {
      for (const timer of waiting) clearTimeout(timer)
      await Promise.all(running)
    },
  }
}
