/** Watches what a broker gives away: every secret that passes, every answer without the one place that is meant to carry one, every URL. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { Browser } from './browser-stand-in.ts'

/** Every secret that passes, by what it is. */
export class Secrets {
  readonly #known = new Map<string, Set<string>>()

  constructor(known: readonly (readonly [kind: string, value: string])[] = []) {
    for (const [kind, value] of known) this.add(kind, value)
  }

  add(kind: string, ...values: readonly (string | null | undefined)[]): void {
    const known = this.#known.get(kind) ?? new Set<string>()
    this.#known.set(kind, known)
    for (const value of values) if (value) known.add(value)
  }

  plant(kind: string, alphabet: 'hex' | 'base64' = 'hex'): string {
    const value = randomBytes(alphabet === 'hex' ? 24 : 32).toString(alphabet)
    this.add(kind, value)
    return value
  }

  of(): [kind: string, value: string][] {
    return [...this.#known].flatMap(([kind, values]) => [...values].map((value): [string, string] => [kind, value]))
  }

  counts(): Record<string, number> {
    return Object.fromEntries([...this.#known].map(([kind, values]) => [kind, values.size]))
  }
}

/** What the broker gave away, without the one place of each answer that is meant to carry a secret; and every URL. */
export class Given {
  readonly texts: { readonly where: string; readonly text: string }[] = []
  readonly urls: string[] = []
  readonly sessions: string[] = []
  readonly #secrets: Secrets

  constructor(secrets: Secrets) {
    this.#secrets = secrets
  }

  async add(where: string, response: Response): Promise<void> {
    const headers = [...response.headers].flatMap(([name, value]) => {
      if (name === 'location') this.urls.push(value)
      if (name === 'set-cookie') this.#secrets.add('browser cookie', /=([^;]+)/.exec(value)?.[1])
      return name === 'location' || name === 'set-cookie' ? [] : [`${name}: ${value}`]
    })
    const body = this.#withoutCarriers(where, await response.clone().text())
    this.texts.push({ where, text: [...headers, body].join('\n') })
  }

  /** `access_token` of /token and /oauth2/token, `url` of auth_url, and the address that a page's form goes to. */
  #withoutCarriers(where: string, body: string): string {
    if (where.startsWith('GET /api/v1/connected_apps/auth_url'))
      return body.replace(/"url":"([^"]*)"/, (_, url: string) => {
        this.urls.push(url)
        this.#secrets.add('handle', /\/connect\/(.+)$/.exec(url)?.[1])
        return ''
      })
    if (where.startsWith('GET /api/v1/connected_apps/token')) return body.replace(/"access_token":"[^"]*"/, '')
    if (where.startsWith('POST /oauth2/token'))
      return body.replace(/"access_token":"([^"]*)"/, (_, token: string) => {
        this.#secrets.add('caller token', token)
        return ''
      })
    return body.replace(/ (?:action|href)="([^"]*)"/g, (_, url: string) => {
      this.urls.push(url)
      return ''
    })
  }
}

export class WatchedBrowser extends Browser {
  readonly #given: Given

  constructor(given: Given) {
    super()
    this.#given = given
  }

  override async visit(...request: Parameters<Browser['visit']>): Promise<Response> {
    const response = await super.visit(...request)
    await this.#given.add(`${request[1] ? 'POST' : 'GET'} ${new URL(request[0]).pathname}`, response)
    return response
  }
}

export function assertNone(secrets: Secrets, where: string, bytes: Buffer): void {
  for (const [kind, value] of secrets.of())
    for (const spelled of spellings(value)) assert(!bytes.includes(spelled), `${kind} in ${where}: ${value}`)
}

/** As it is, in the usual encodings, and of a long one its middle and its end: logs cut off what is long. */
function spellings(value: string): string[] {
  const bytes = Buffer.from(value)
  const whole = [value, encodeURIComponent(value), bytes.toString('hex'), bytes.toString('base64').replace(/.{2}=*$/, '')]
  return value.length > 150 ? [...whole, value.slice(80, 140), value.slice(-60)] : whole
}
