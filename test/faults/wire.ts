/**
 * What lies between the broker and a provider's token endpoint. It knows of every renewal how far it has come, holds it up where it is told
 * to, and counts refresh tokens that come back after they were spent.
 */

import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'

/** How far a renewal has come: the request arrived, the provider spent the token, half of the answer left, all of it left. */
export type Stage = 'asked' | 'processed' | 'half answered' | 'answered'

export interface Passage {
  /** Which grant's refresh token it is: the how-manieth that was given through this wire. */
  readonly grant: number
  readonly stage: Stage
  /** How long ago it came there. */
  readonly agoMs: number
  /** Bytes of the answer that the broker has not read; null where the system does not tell. */
  readonly unread: number | null
}

interface UnderWay {
  readonly grant: number
  readonly port: number
  stage: Stage
  /** By `performance.now()`. */
  since: number
}

/** Called when a renewal has come so far; what it returns is waited for before the renewal goes on. */
export type Watcher = (passage: Pick<Passage, 'grant' | 'stage'>) => Promise<void> | void

export class Wire {
  /** Refresh tokens that came back after they were spent, and that the provider refused for it. */
  doubleSpends = 0
  /** Grants so far. */
  grants = 0
  readonly #provider: string
  readonly #server = createServer((message, response) => void this.#pass(message, response).catch(() => response.destroy()))
  /** Which grant a refresh token belongs to. */
  readonly #grantOf = new Map<string, number>()
  readonly #spent = new Set<string>()
  readonly #latest = new Map<number, UnderWay>()
  #watcher: Watcher = () => {}
  #running = 0
  #lost: (() => boolean) | null = null

  private constructor(provider: string) {
    this.#provider = provider
  }

  static async start(provider: string): Promise<Wire> {
    const wire = new Wire(provider)
    await new Promise<void>((resolve) => wire.#server.listen(0, '127.0.0.1', resolve))
    return wire
  }

  get tokenUrl(): string {
    return `http://127.0.0.1:${this.#port}/token`
  }

  /** From here on every renewal is shown to the watcher, and those before are forgotten. */
  watch(watcher: Watcher): void {
    this.#watcher = watcher
    this.#lost = null
    this.#latest.clear()
  }

  /** The latest renewal of each grant, as far as it has come at this very moment. */
  snapshot(): ReadonlyMap<number, Passage> {
    const unread = unreadBytes(this.#port)
    const now = performance.now()
    const shown = ({ grant, stage, since, port }: UnderWay): Passage => ({
      ...{ grant, stage, agoMs: now - since },
      unread: unread?.get(port) ?? null,
    })
    return new Map([...this.#latest].map(([grant, passage]) => [grant, shown(passage)]))
  }

  /** Who asked is gone. Requests on their way arrive all the same, unless `lost` says that they do not; resolves when nothing moves any more. */
  async settle(lost: () => boolean): Promise<void> {
    this.#watcher = () => {}
    this.#lost = lost
    while (this.#running > 0) await pause(2)
    // Whoever asks from here on is alive, and is heard.
    this.#lost = null
  }

  close(): Promise<void> {
    this.#server.closeAllConnections()
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }

  get #port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async #pass(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const form = await text(message)
    const token = new URLSearchParams(form).get('refresh_token')
    if (token === null) {
      const { status, body } = await this.#forward(message, form)
      const given = refreshTokenIn(body)
      if (given !== null) this.#grantOf.set(given, this.grants++)
      response.writeHead(status, { 'content-type': 'application/json' }).end(body)
      return
    }
    this.#running++
    try {
      await this.#renewal(message, form, token, response)
    } finally {
      this.#running--
    }
  }

  async #renewal(message: IncomingMessage, form: string, token: string, response: ServerResponse): Promise<void> {
    const grant = this.#grantOf.get(token) ?? -1
    const port = message.socket.remotePort ?? 0
    const passage: UnderWay = { grant, stage: 'asked', since: performance.now(), port }
    this.#latest.set(grant, passage)
    const come = async (stage: Stage): Promise<void> => {
      passage.stage = stage
      passage.since = performance.now()
      await this.#watcher(passage)
    }
    await come('asked')
    if (this.#lost?.()) return void response.destroy()
    const { status, body } = await this.#forward(message, form)
    this.#judge(token, grant, status, body)
    await come('processed')
    const half = Math.floor(body.length / 2)
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
    response.write(body.slice(0, half))
    await come('half answered')
    // Whoever asked may be gone by now, and then nothing more is told of the response.
    if (response.closed) return
    await new Promise<void>((resolve) => {
      response.once('close', resolve)
      response.end(body.slice(half), () => void come('answered').then(resolve))
    })
  }

  #judge(token: string, grant: number, status: number, body: string): void {
    if (status !== 200 && this.#spent.has(token)) this.doubleSpends++
    const successor = status === 200 ? refreshTokenIn(body) : null
    if (successor === null || successor === token) return
    this.#spent.add(token)
    this.#grantOf.set(successor, grant)
  }

  async #forward({ headers }: IncomingMessage, form: string): Promise<{ status: number; body: string }> {
    const { authorization = '', 'content-type': type = '' } = headers
    const answer = await fetch(`${this.#provider}/token`, {
      method: 'POST',
      headers: { authorization, 'content-type': type },
      body: form,
    })
    return { status: answer.status, body: await answer.text() }
  }
}

function refreshTokenIn(body: string): string | null {
  const { refresh_token: token } = JSON.parse(body) as { refresh_token?: string }
  return token ?? null
}

/** Of the connections to our port: how much the other end has received and not read, by its port. */
function unreadBytes(port: number): ReadonlyMap<number, number> | null {
  try {
    const rows = readFileSync('/proc/net/tcp', 'utf8').trim().split('\n').slice(1)
    const ends = rows.map((row) => {
      const [, local = '', remote = '', , queues = ''] = row.trim().split(/\s+/)
      return { local: portIn(local), remote: portIn(remote), unread: Number.parseInt(queues.split(':')[1] ?? '0', 16) }
    })
    return new Map(ends.filter(({ remote }) => remote === port).map(({ local, unread }) => [local, unread]))
  } catch {
    return null
  }
}

function portIn(address: string): number {
  return Number.parseInt(address.split(':')[1] ?? '0', 16)
}
