/** Connections while the server stops: it waits for answers that are under way, and for nobody who has nothing to ask. */

import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'

const LOOK_MS = 50
/** By then whatever was asked before is answered: providers have twenty seconds. Who never finishes asking would keep a process from ending for ever. */
const PATIENCE_MS = 25_000

export function hangUpOnClose(app: FastifyInstance, patienceMs = PATIENCE_MS): void {
  const { server } = app
  const open = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  app.addHook('preClose', (done) => {
    const look = setInterval(() => {
      // Closing ends those that are idle by then; whose last answer was still to come would be kept alive for another minute.
      server.closeIdleConnections()
      // To Node, who has never asked anything is busy.
      for (const socket of open) if (socket.bytesRead === 0) socket.destroy()
    }, LOOK_MS)
    const patience = setTimeout(() => server.closeAllConnections(), patienceMs)
    server.once('close', () => {
      clearInterval(look)
      clearTimeout(patience)
    })
    done()
  })
}
