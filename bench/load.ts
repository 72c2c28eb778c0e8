/** Sends one kind of GET over a number of kept-open connections, each with one request under way, and takes the times. */

import { connect, type Socket } from 'node:net'

export interface LoadResult {
  readonly requests: number
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Answers that were not 200. */
  readonly failed: number
}

export interface Load {
  readonly address: string
  readonly connections: number
  readonly seconds: number
  readonly headers: Readonly<Record<string, string>>
  /** The path of the next request; null: there is nothing left to ask. */
  readonly path: () => string | null
}

/** A client of our own, because any ready-made one costs more than the server that is measured. */
export async function load({ address, connections, seconds, headers, path }: Load): Promise<LoadResult> {
  const { hostname, port } = new URL(address)
  const tail = ` HTTP/1.1\r\nhost: ${hostname}:${port}\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`
  const times: number[] = []
  let failed = 0
  const begin = performance.now()
  const end = begin + seconds * 1000

  await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = connect({ host: hostname, port: Number(port), noDelay: true })
      await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
      await keepAsking(
        socket,
        () => {
          const next = path()
          return next === null ? null : `GET ${next}${tail}`
        },
        end,
        (ms, ok) => {
          times.push(ms)
          if (!ok) failed++
        },
      )
      socket.destroy()
    }),
  )
  const took = performance.now() - begin
  times.sort((a, b) => a - b)
  return {
    requests: times.length,
    requestsPerSecond: (times.length / took) * 1000,
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
    failed,
  }
}

export function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  return quantile(
    [...values].sort((a, b) => a - b),
    0.5,
  )
}

function keepAsking(
  socket: Socket,
  next: () => string | null,
  end: number,
  answered: (ms: number, ok: boolean) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let sentAt = 0
    let pending = ''
    const ask = (): void => {
      sentAt = performance.now()
      const request = sentAt < end ? next() : null
      if (request === null) resolve()
      else socket.write(request)
    }
    socket.setEncoding('latin1')
    socket.on('error', reject)
    socket.on('data', (chunk: string) => {
      pending = pending === '' ? chunk : pending + chunk
      const bodyAt = pending.indexOf('\r\n\r\n')
      if (bodyAt < 0) return
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(pending)?.[1] ?? 0)
      if (pending.length < bodyAt + 4 + length) return
      const ok = pending.startsWith('HTTP/1.1 200')
      pending = ''
      answered(performance.now() - sentAt, ok)
      ask()
    })
    ask()
  })
}
