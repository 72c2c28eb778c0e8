/** Questions and answers between a primary and one of its workers, over the channel that Node keeps between them. */

import type { Worker } from 'node:cluster'

/** What one side answers, by what it is asked. */
type Answers = Readonly<Record<string, (input: never) => unknown>>

const ANSWER_MS_MAX = 5000

interface Asked {
  readonly line: 'asked'
  readonly id: number
  readonly what: string
  readonly input: unknown
}

interface Answered {
  readonly line: 'answered'
  readonly id: number
  readonly output: unknown
  readonly failed: boolean
}

export class Line<Theirs extends { [What in keyof Theirs]: (input: never) => unknown }> {
  readonly #worker: Worker
  readonly #mine: Answers
  readonly #waiting = new Map<number, { resolve: (output: unknown) => void; reject: (error: Error) => void }>()
  #asked = 0

  /** Either side's own `Worker`: messages to it are read and written by both. */
  constructor(worker: Worker, mine: Answers) {
    this.#worker = worker
    this.#mine = mine
    worker.on('message', (message: unknown) => {
      if (is<Asked>(message, 'asked')) void this.#answer(message)
      if (is<Answered>(message, 'answered')) this.#settle(message)
    })
    worker.once('disconnect', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the other side is gone'))
    })
  }

  /** Rejects when the other side is gone, fails, or does not answer in time. */
  ask<What extends keyof Theirs & string>(
    what: What,
    input: Parameters<Theirs[What]>[0],
    withinMs = ANSWER_MS_MAX,
  ): Promise<Awaited<ReturnType<Theirs[What]>>> {
    const id = ++this.#asked
    return new Promise<unknown>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${what}: no answer in time`)), withinMs)
      late.unref()
      this.#waiting.set(id, { resolve, reject })
      this.#send({ line: 'asked', id, what, input }, reject)
    }).finally(() => this.#waiting.delete(id)) as Promise<Awaited<ReturnType<Theirs[What]>>>
  }

  async #answer({ id, what, input }: Asked): Promise<void> {
    try {
      const output = await this.#mine[what]?.(input as never)
      this.#send({ line: 'answered', id, output, failed: false })
    } catch {
      this.#send({ line: 'answered', id, output: undefined, failed: true })
    }
  }

  #settle({ id, output, failed }: Answered): void {
    const asked = this.#waiting.get(id)
    if (failed) asked?.reject(new Error('the other side failed'))
    else asked?.resolve(output)
  }

  /** Whoever is gone hears nothing more: that is told where they end. */
  #send(message: Asked | Answered, failed: (error: Error) => void = () => {}): void {
    if (!this.#worker.isConnected()) return failed(new Error('the other side is gone'))
    this.#worker.send(message, (error) => error && failed(error))
  }
}

function is<Kind extends Asked | Answered>(message: unknown, line: Kind['line']): message is Kind {
  return typeof message === 'object' && message !== null && 'line' in message && message.line === line
}
