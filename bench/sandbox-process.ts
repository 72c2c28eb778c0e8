/** The sandbox provider in a process of its own, approving at once. Started by the bench. */

import { startSandbox } from '../sandbox/sandbox.ts'

const sandbox = await startSandbox({ auto_approve: true })
process.on('message', (message) => {
  if (message === 'memory') process.send?.({ rss: process.memoryUsage.rss(), cpu: process.cpuUsage() })
  if (message === 'stop') void sandbox.close().then(() => process.disconnect())
})
process.send?.({ address: sandbox.url, sessions: [], provider: sandbox.provider(), app: sandbox.app() })
