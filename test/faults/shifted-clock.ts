/** Preloaded into a broker in a process of its own: its clock is ahead of the system's by as much as whoever started it says. */

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
