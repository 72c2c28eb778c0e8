/** The one way to change what operators set up: nobody writes by what stood there when they looked over what somebody else has written since. */

import type { Fact, Ports, RecordChange } from './ports.ts'

/** What is to be written, by what stands there now, and what then comes of it. */
export interface Plan<T> {
  readonly changes: readonly RecordChange[]
  readonly facts: readonly Fact[]
  readonly result: T
}

/** `plan` does nothing but read: it is asked again when anybody changed anything meanwhile. A plan without changes writes nothing. */
export async function changeRecords<T>({ store: { records }, registry }: Ports, plan: () => Promise<Plan<T>>): Promise<T> {
  for (;;) {
    // Before all that the plan goes by.
    const seen = await records.version()
    const { changes, facts, result } = await plan()
    if (changes.length === 0) return result
    if (!(await records.change(changes, facts, seen))) continue
    await registry.changed()
    return result
  }
}
