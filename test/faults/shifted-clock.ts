/** Preloaded into a broker in a process of its own: its clock is ahead of the system's by as much as whoever started it says. */

import { SharedClock } from '../../src/shared-clock.ts'

/** Where it stands for time that passes, a database would go by the time before: it is not looked at. */
if (process.env['FAULTS_CLOCK_IS_WRONG'] === undefined) SharedClock.prototype.follow = async () => {}

const systemNow = Date.now
let aheadMs = Number(process.env['FAULTS_CLOCK_AHEAD_MS'] ?? 0)

Date.now = () => systemNow() + aheadMs

process.on('message', (ahead: number) => {
  aheadMs = ahead
  process.send?.(ahead)
})
// Nobody else would end it.
process.on('disconnect', () => process.exit(1))
// Listening to whoever started it is no reason to stay.
process.channel?.unref()
