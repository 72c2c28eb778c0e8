/** The queue of answers that a test has ordered for each endpoint. */

import type { Behaviour } from './behaviour.ts'
import { PRESETS, type PresetName } from './presets.ts'

export const ENDPOINTS = [
  'authorize',
  'login',
  'consent',
  'token',
  'refresh',
  'revoke',
  'introspect',
  'userinfo',
  'me',
  'par',
  'discovery',
  'jwks',
] as const

/** `token` is every request to the token endpoint except renewals, which are `refresh`. */
export type Endpoint = (typeof ENDPOINTS)[number]

/** One ordered answer: spelled out, or a preset with something changed. */
export interface Scripted extends Behaviour {
  readonly preset?: PresetName
  /** How many requests this is for; 1 when left out. */
  readonly times?: number | 'forever'
}

const EDITS = ['status', 'set', 'remove', 'nest_under', 'scope', 'encode', 'prefix']

const KEYS: Readonly<Record<keyof Scripted, (value: unknown) => boolean>> = {
  preset: (v) => typeof v === 'string' && Object.hasOwn(PRESETS, v),
  status: (v) => Number.isInteger(v) && (v as number) >= 200 && (v as number) <= 599,
  headers: isObject,
  content_type: (v) => typeof v === 'string',
  body: (v) => typeof v === 'string' || isObject(v),
  body_base64: (v) => typeof v === 'string',
  edit: (v) => isObject(v) && Object.keys(v).every((key) => EDITS.includes(key)),
  access_token_lifetime: (v) => typeof v === 'number',
  process: (v) => typeof v === 'boolean',
  delay: (v) => typeof v === 'number' && v >= 0,
  hold: (v) => typeof v === 'boolean',
  drip: (v) => typeof v === 'number' && v >= 0,
  drop: (v) => v === 'before' || v === 'after',
  hang: (v) => typeof v === 'boolean',
  times: (v) => v === 'forever' || (Number.isInteger(v) && (v as number) > 0),
}

/** Spells an order out, or throws an error that says what is wrong with it. */
function spelledOut(order: PresetName | Scripted): Scripted {
  const spelled: unknown = typeof order === 'string' ? { preset: order } : order
  if (!isObject(spelled))
    throw new RangeError(`a scripted answer is an object or the name of a preset, not ${JSON.stringify(order)}`)
  for (const [key, value] of Object.entries(spelled)) {
    if (!Object.hasOwn(KEYS, key))
      throw new RangeError(`a scripted answer has no '${key}'; it has: ${Object.keys(KEYS).join(', ')}`)
    if (KEYS[key as keyof Scripted](value)) continue
    if (key === 'preset')
      throw new RangeError(`there is no preset '${String(value)}'; there are: ${Object.keys(PRESETS).join(', ')}`)
    throw new RangeError(`${JSON.stringify(value)} is no ${key} for a scripted answer`)
  }
  return spelled
}

/** The preset with what the test says beside it; headers and edits are added, the rest replaces. */
function combined(given: Scripted): Behaviour {
  if (given.preset === undefined) return given
  const preset: Behaviour = PRESETS[given.preset]
  return {
    ...preset,
    ...given,
    ...((preset.headers ?? given.headers) && { headers: { ...preset.headers, ...given.headers } }),
    ...((preset.edit ?? given.edit) && { edit: { ...preset.edit, ...given.edit } }),
  }
}

interface Ordered {
  readonly order: Scripted
  readonly behaviour: Behaviour
  left: number
}

/** What `Script.order` would take; throws an error that says what is wrong, and changes nothing. */
export function queued(endpoint: string, answers: readonly (PresetName | Scripted)[]): Ordered[] {
  if (!ENDPOINTS.includes(endpoint as Endpoint))
    throw new RangeError(`there is no endpoint '${endpoint}'; there are: ${ENDPOINTS.join(', ')}`)
  return answers.map((answer) => {
    const order = spelledOut(answer)
    return { order, behaviour: combined(order), left: order.times === 'forever' ? Infinity : (order.times ?? 1) }
  })
}

export class Script {
  readonly #queues = new Map<Endpoint, Ordered[]>()

  /** Replaces the queue of one endpoint; nothing ordered means it behaves again. */
  order(endpoint: Endpoint, answers: readonly (PresetName | Scripted)[]): void {
    const queue = queued(endpoint, answers)
    if (queue.length > 0) this.#queues.set(endpoint, queue)
    else this.#queues.delete(endpoint)
  }

  /** The answer ordered for the next request to that endpoint, or null. */
  take(endpoint: Endpoint): Behaviour | null {
    const queue = this.#queues.get(endpoint)
    const first = queue?.[0]
    if (!queue || !first) return null
    if (--first.left <= 0) queue.shift()
    if (queue.length === 0) this.#queues.delete(endpoint)
    return first.behaviour
  }

  clear(): void {
    this.#queues.clear()
  }

  /** What is still to come, in the words it was ordered with. */
  toJSON(): Partial<Record<Endpoint, Scripted[]>> {
    return Object.fromEntries([...this.#queues].map(([endpoint, queue]) => [endpoint, queue.map(remaining)]))
  }
}

function remaining({ order, left }: Ordered): Scripted {
  const times = left === Infinity ? 'forever' : left
  return order.body instanceof Uint8Array ? { ...order, times, body: `${order.body.length} bytes` } : { ...order, times }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
