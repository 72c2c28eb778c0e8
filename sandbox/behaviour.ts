/** One way to misbehave: what it says, and how it is carried out on a real connection. */

import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer, type Rendered, render } from './answer.ts'
import type { Gate } from './gate.ts'

/**
 * With `status`, `body` or `body_base64` the answer is a made-up one and the request is *not* processed, unless `process`
 * says so. Without them the request is processed, and the rest shapes what comes of it.
 */
export interface Behaviour {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly content_type?: string
  /** An object is sent as JSON. */
  readonly body?: string | Uint8Array | Readonly<Record<string, unknown>>
  readonly body_base64?: string
  readonly edit?: Edit
  /** Seconds: for the access token of this one answer. */
  readonly access_token_lifetime?: number
  /** Process the request although the answer is a made-up one, or none at all. */
  readonly process?: boolean
  /** Milliseconds between processing and answering. */
  readonly delay?: number
  /** Answer only when `control.release()` says so; what is processed is processed before. */
  readonly hold?: boolean
  /** Milliseconds between the bytes of the body. */
  readonly drip?: number
  /** `before`: the connection is reset and nothing was processed. `after`: processed, and the answer is lost. */
  readonly drop?: 'before' | 'after'
  /** Never answer. */
  readonly hang?: boolean
}

/** Changes to a real, successful answer. On `authorize` they apply to the parameters of the redirect. */
export interface Edit {
  readonly status?: number
  readonly remove?: readonly string[]
  readonly scope?: 'array' | 'comma'
  /** Moves everything into an object of this name. */
  readonly nest_under?: string
  /** Applied last, at the top. A list becomes a repeated parameter in a redirect. */
  readonly set?: Readonly<Record<string, unknown>>
  readonly encode?: 'form'
  /** Put before the body, such as a byte order mark. */
  readonly prefix?: string
}

/** What became of the request, for the record. */
export type Ending = number | 'dropped' | 'hanging'

export interface Scene {
  readonly response: ServerResponse
  /** Fires when the sandbox closes, so that nothing is left waiting. */
  readonly closing: AbortSignal
  readonly gate: Gate
  readonly process: () => Promise<Answer>
  readonly ended: (ending: Ending) => void
}

export async function misbehave(how: Behaviour, { response, closing, gate, process, ended }: Scene): Promise<void> {
  // Before anything is waited for: whoever saw the request arrive may let its answer go.
  const released = how.hold ? gate.hold() : undefined
  const madeUp = how.status !== undefined || how.body !== undefined || how.body_base64 !== undefined
  const unprocessed = (madeUp || how.hang === true || how.drop === 'before') && how.process !== true
  const real = unprocessed ? null : await process()
  await released
  closing.throwIfAborted()
  if (how.delay) await sleep(how.delay, undefined, { signal: closing })
  if (how.hang) return ended('hanging')
  if (how.drop) {
    ended('dropped')
    response.socket?.resetAndDestroy()
    return
  }
  const { status, headers, body } = madeUp || !real ? made(how) : edited(real, how)
  ended(status)
  response.writeHead(status, how.drip ? headers : { 'content-length': Buffer.byteLength(body), ...headers })
  if (how.drip) await drip(response, Buffer.from(body), how.drip, closing)
  response.end(how.drip ? undefined : body)
}

function made({ status = 200, headers, content_type, body = '', body_base64 }: Behaviour): Rendered {
  const isText = typeof body === 'string' || body instanceof Uint8Array
  const type = content_type ?? (isText ? 'text/plain' : 'application/json')
  const bytes = body_base64 !== undefined ? Buffer.from(body_base64, 'base64') : isText ? body : JSON.stringify(body)
  return { status, headers: { 'content-type': type, ...headers }, body: bytes }
}

/** Only a success is edited: a refusal that the request earned by itself stays as it is. */
function edited(answer: Answer, { edit = {}, headers, content_type }: Behaviour): Rendered {
  if (answer.status >= 400) return render(answer)
  const json = answer.json && shaped(answer.json, edit)
  const redirect = answer.redirect && { ...answer.redirect, params: shaped(answer.redirect.params, edit) }
  const asForm = json && edit.encode === 'form'
  const plain = render({ ...answer, status: edit.status ?? answer.status, ...(json && { json }), ...(redirect && { redirect }) })
  const body = asForm ? new URLSearchParams(strings(json)).toString() : plain.body
  const type = content_type ?? (asForm ? 'application/x-www-form-urlencoded' : undefined)
  return {
    status: plain.status,
    headers: { ...plain.headers, ...(type !== undefined && { 'content-type': type }), ...headers },
    body: edit.prefix && typeof body === 'string' ? edit.prefix + body : body,
  }
}

function shaped(
  fields: Readonly<Record<string, unknown>>,
  { remove = [], scope, nest_under, set }: Edit,
): Record<string, unknown> {
  const kept: Record<string, unknown> = Object.fromEntries(Object.entries(fields).filter(([name]) => !remove.includes(name)))
  if (scope && typeof kept['scope'] === 'string') {
    const list = kept['scope'].split(/[ ,]/).filter(Boolean)
    kept['scope'] = scope === 'array' ? list : list.join(',')
  }
  return { ...(nest_under === undefined ? kept : { [nest_under]: kept }), ...set }
}

const strings = (fields: Record<string, unknown>): Record<string, string> =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]))

async function drip(response: ServerResponse, body: Uint8Array, pause: number, closing: AbortSignal): Promise<void> {
  for (const byte of body) {
    if (response.destroyed) return
    response.write(Buffer.of(byte))
    await sleep(pause, undefined, { signal: closing })
  }
}
