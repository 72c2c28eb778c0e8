/**
 * A reporter for node:test that writes down, a line of JSON each, what failed and what did not run.
 * Node's exit code alone does not do: it is 0 when a hook outside of any test has failed.
 */

import type { TestEvent } from 'node:test/reporters'

export interface Verdict {
  readonly what: 'failed' | 'skipped'
  readonly name: string
  readonly reason: string
}

export default async function* testVerdict(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue
    const excuse = data.skip ?? data.todo
    const reason = typeof excuse === 'string' ? excuse : ''
    if (excuse !== undefined) yield line({ what: 'skipped', name: data.name, reason })
    else if (type === 'test:fail') yield line({ what: 'failed', name: data.name, reason })
  }
}

function line(verdict: Verdict): string {
  return `${JSON.stringify(verdict)}\n`
}
