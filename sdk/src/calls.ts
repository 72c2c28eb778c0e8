/** Makes calls: checks the arguments, gets a bearer, sends, and reads the answer in the form that was asked for. */

import { exception, parsed } from './answer.ts'
import { type Bearer, givenBearer, renewedBearer } from './bearer.ts'
import { readText, streamed, type Watch } from './body.ts'
import { fetchCallerToken } from './caller-token.ts'
import { ApiException, ConnectionError } from './errors.ts'
import { exchange, type Outgoing } from './exchange.ts'
import { Leash } from './leash.ts'
import { type Operation, type Prepared, prepare } from './operations.ts'
import { type CallOptions, type CheckedOptions, checkOptions } from './options.ts'
import type { Settings } from './settings.ts'

/** What every form of answer is made of. */
export interface Result {
  readonly response: Response
  readonly status?: number
  readonly headers?: Headers
  readonly body?: unknown
}

export class Calls {
  readonly #settings: Settings
  readonly #closing = new AbortController()
  readonly #bearer: Bearer

  constructor(settings: Settings) {
    this.#settings = settings
    const { credentials } = settings
    this.#bearer =
      credentials.kind === 'token'
        ? givenBearer(credentials.token)
        : renewedBearer(() => fetchCallerToken(settings, credentials, this.#closing.signal), Date.now)
  }

  close(): void {
    this.#closing.abort(new ConnectionError('this client was closed'))
  }

  async make(operation: Operation, given: unknown, options: CallOptions): Promise<Result> {
    const checked = checkOptions(operation.name, options, this.#settings.timeout)
    const prepared = prepare(operation, given)
    const leash = new Leash([this.#closing.signal, ...(checked.signal ? [checked.signal] : [])])
    leash.limitTotal(checked.limits.total)
    try {
      leash.signal.throwIfAborted()
      return await this.#send(operation, prepared, checked, leash)
    } catch (error) {
      leash.release()
      throw error
    }
  }

  async #send(operation: Operation, prepared: Prepared, options: CheckedOptions, leash: Leash): Promise<Result> {
    const token = await this.#await(this.#bearer.get(), options, leash)
    try {
      return await this.#sendWith(token, operation, prepared, options, leash)
    } catch (error) {
      // Refused before anything was done, so even a POST may be sent again; once, or a broker that refuses all would be asked forever.
      if (!(error instanceof ApiException && error.status === 403 && error.code === 'INVALID_CREDENTIALS')) throw error
      const another = await this.#await(this.#bearer.insteadOf(token), options, leash)
      if (another === null) throw error
      return await this.#sendWith(another, operation, prepared, options, leash)
    }
  }

  /** For others it may go on: one bearer serves all calls. */
  async #await<T>(bearer: Promise<T>, { limits }: CheckedOptions, leash: Leash): Promise<T> {
    leash.limitPhase(limits.head, 'no bearer token within')
    return leash.hold(bearer).finally(() => leash.endPhase())
  }

  async #sendWith(
    token: string,
    operation: Operation,
    prepared: Prepared,
    options: CheckedOptions,
    leash: Leash,
  ): Promise<Result> {
    const { host, credentials } = this.#settings
    const { method, path, search, body } = prepared
    const url = `${host}${path}${search}`
    const prove = credentials.kind === 'client' ? credentials.prove : null
    const outgoing: Outgoing = {
      method,
      url,
      title: `${method} ${operation.path}`,
      repeatable: method === 'GET',
      headers: {
        accept: options.accept,
        authorization: `${prove ? 'DPoP' : 'Bearer'} ${token}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(prove && { proof: () => prove({ method, url, token }) }),
      ...(body !== undefined && { body }),
    }
    const watch: Watch = { title: outgoing.title, leash, silence: options.limits.silence }

    return exchange(this.#settings, outgoing, leash, options.limits, async (response) => {
      const { status, headers } = response
      if (response.ok && (options.stream || options.skipDeserialization)) {
        const unread = streamed(response, watch)
        return options.skipDeserialization ? { response: unread } : { response: unread, status, headers, body: unread.body }
      }
      const text = await readText(response, watch)
      leash.release()
      if (!response.ok) throw exception(response, text, credentials.kind === 'client' ? [token, credentials.secret] : [token])
      return { response, status, headers, body: parsed(response, text, operation) }
    })
  }
}
