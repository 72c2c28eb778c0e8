/** For whoever runs the broker: alive, ready, and how much of what. */

import type { FastifyInstance } from 'fastify'
import type { Ports } from '../core/ports.ts'
import { sendJson } from './reply.ts'

export interface Readiness {
  /** False from the moment the process is asked to stop, so that nothing new is sent here. */
  accepting: boolean
}

/** Counts, and shows what was counted. */
export interface Meter {
  /** For one route and method; what it returns is called once for each answer. */
  answers(route: string, method: string): (status: number, seconds: number) => void
  /** In the Prometheus text format. */
  show(): Promise<{ contentType: string; text: string }>
}

/** Asked by whoever watches the process, at whatever address it has. */
export const WATCHED_PATHS = ['/healthz', '/readyz', '/metrics'] as const

/** Load balancers and monitors often ask for the head alone. */
const AND_HEAD = { exposeHeadRoute: true }

export function operations(app: FastifyInstance, ports: Ports, readiness: Readiness, meter: Meter): void {
  app.get('/healthz', AND_HEAD, async (_request, reply) => sendJson(reply, 200, { status: 'ok' }))

  app.get('/readyz', AND_HEAD, async (_request, reply) => {
    if (!readiness.accepting) return sendJson(reply, 503, { status: 'stopping' })
    try {
      await ports.store.ping()
    } catch (error) {
      ports.log('error', 'the store does not answer', { error })
      return sendJson(reply, 503, { status: 'store unavailable' })
    }
    return sendJson(reply, 200, { status: 'ready' })
  })

  app.get('/metrics', AND_HEAD, async (_request, reply) => {
    const { contentType, text } = await meter.show()
    return reply.header('content-type', contentType).send(Buffer.from(text))
  })
}
