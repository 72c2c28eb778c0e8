/** Reads an answer's body, noticing when the server falls silent, hangs up or the call is over. */

import { ConnectionError } from './errors.ts'
import type { Leash } from './leash.ts'

export interface Watch {
  /** For messages. */
  readonly title: string
  readonly leash: Leash
  /** Milliseconds that may pass without a byte while one is waited for. */
  readonly silence: number
}

/** The whole body as text; empty when there is none. */
export async function readText(response: Response, watch: Watch): Promise<string> {
  const next = chunksOf(response, watch)
  const decoder = new TextDecoder()
  let text = ''
  for (let chunk = await next(); chunk !== null; chunk = await next()) text += decoder.decode(chunk, { stream: true })
  return text + decoder.decode()
}

/** The same answer with its body still to be read. The leash is let go when it has been, or nobody wants it any more. */
export function streamed(response: Response, watch: Watch): Response {
  const { leash } = watch
  leash.endTotal()
  if (response.body === null) {
    leash.release()
    return response
  }
  const next = chunksOf(response, watch)
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        try {
          const chunk = await next()
          if (chunk !== null) return controller.enqueue(chunk)
          controller.close()
        } catch (error) {
          controller.error(error)
        }
        leash.release()
      },
      cancel(reason) {
        leash.release()
        return next.cancel(reason)
      },
    },
    { highWaterMark: 0 },
  )
  return new Response(body, { status: response.status, statusText: response.statusText, headers: response.headers })
}

interface Chunks {
  /** Resolves to null at the end. */
  (): Promise<Uint8Array<ArrayBuffer> | null>
  cancel(reason: unknown): Promise<void>
}

function chunksOf(response: Response, { title, leash, silence }: Watch): Chunks {
  const reader = response.body?.getReader()
  const next = async () => {
    if (reader === undefined) return null
    leash.limitPhase(silence, `${title}: nothing more came within`)
    try {
      const { done, value } = await leash.hold(reader.read())
      return done ? null : value
    } catch (error) {
      if (leash.signal.aborted) {
        // An own fetch may not listen to the signal, and would go on sending.
        reader.cancel(error).catch(() => {})
        throw error
      }
      throw new ConnectionError(`${title}: the answer was cut off`, { cause: error })
    } finally {
      leash.endPhase()
    }
  }
  return Object.assign(next, { cancel: async (reason: unknown) => reader?.cancel(reason) })
}
