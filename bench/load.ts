/** Sends one kind of GET over a number of kept-open connections, each with one request under way, and takes the times. */

import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

export interface LoadResult {
  readonly requests: number
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Answers that were not 200. */
  readonly failed: number
  /** Processor that asking itself took, as a share of one core: near 1 it is the load that is measured. */
  readonly ownShare: number
}

export interface Load {
  readonly address: string
  readonly connections: number
  readonly seconds: number
  readonly headers: Readonly<Record<string, string>>
  /** The path of the next request; null: there is nothing left to ask. */
  readonly path: () => string | null
  /** Between an answer and the next request of the same connection. */
  readonly pauseMs?: number
}

/** An answer that is longer than this comes in pieces, which is fine too. */
const PIECE_BYTES = 64 * 1024
const OK = '200'

/** A client of our own, because any ready-made one costs more than the server that is measured. */
export async function load({ address, connections, seconds, headers, path, pauseMs = 0 }: Load): Promise<LoadResult> {
  const { hostname, port } = new URL(address)
  const tail = ` HTTP/1.1\r\nhost: ${hostname}:${port}\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`
  const times: number[] = []
  let failed = 0
  const cpu = process.cpuUsage()
  const begin = performance.now()
  const end = begin + seconds * 1000

  const one = async (): Promise<void> => {
    const asker = await Asker.connected(hostname, Number(port))
    for (;;) {
      const next = performance.now() < end ? path() : null
      if (next === null) break
      const sentAt = performance.now()
      if ((await asker.ask(`GET ${next}${tail}`)) !== OK) failed++
      times.push(performance.now() - sentAt)
      if (pauseMs > 0) await pause(pauseMs)
    }
    asker.close()
  }
  await Promise.all(Array.from({ length: connections }, one))

  const took = performance.now() - begin
  const { user, system } = process.cpuUsage(cpu)
  times.sort((a, b) => a - b)
  return {
    requests: times.length,
    requestsPerSecond: (times.length / took) * 1000,
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
    failed,
    ownShare: (user + system) / 1000 / took,
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

/** One connection. It reads into memory of its own, and looks at an answer's head only when it is not as long as the one before. */
class Asker {
  readonly #socket: Socket
  #answered: ((status: string) => void) | null = null
  #gone: ((error: Error) => void) | null = null
  #status = ''
  /** Of the whole answer that is awaited; 0: its head is not read yet. */
  #awaited = 0
  #usual = 0
  #got = 0

  private constructor(socket: Socket) {
    this.#socket = socket
    const end = (error?: Error): void => this.#gone?.(error ?? new Error('the server closed the connection'))
    socket.on('error', end).on('close', () => end())
  }

  static async connected(host: string, port: number): Promise<Asker> {
    const buffer = Buffer.allocUnsafe(PIECE_BYTES)
    let asker: Asker | null = null
    const onread = {
      buffer,
      callback: (bytes: number): boolean => {
        asker?.read(buffer, bytes)
        return true
      },
    }
    const socket = connect({ host, port, noDelay: true, onread })
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    asker = new Asker(socket)
    return asker
  }

  ask(request: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#answered = resolve
      this.#gone = reject
      this.#awaited = 0
      this.#got = 0
      this.#socket.write(request, 'latin1')
    })
  }

  read(buffer: Buffer, bytes: number): void {
    if (this.#got === 0) {
      this.#status = buffer.toString('latin1', 9, 12)
      this.#awaited = bytes === this.#usual && this.#status === OK ? bytes : lengthOf(buffer.toString('latin1', 0, bytes))
    }
    this.#got += bytes
    if (this.#got < this.#awaited) return
    if (this.#status === OK) this.#usual = this.#got
    this.#answered?.(this.#status)
  }

  close(): void {
    this.#gone = null
    this.#socket.destroy()
  }
}

/** Head and body. Heads come whole: they are short, and written at once. */
function lengthOf(text: string): number {
  const head = text.indexOf('\r\n\r\n')
  if (head < 0 || !text.startsWith('HTTP/1.1 ')) throw new Error(`this is no answer: ${text.slice(0, 100)}`)
  return head + 4 + Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, head + 2))?.[1] ?? 0)
}
