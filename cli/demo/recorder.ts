/** Listens in on real requests: what was asked and answered, short enough to read and without anything worth stealing. */

export interface Exchange {
  readonly from: 'app' | 'browser'
  readonly to: 'broker' | 'provider'
  readonly method: string
  readonly path: string
  readonly status: number
  readonly answer: string
  readonly ms: number
}

type Fetch = (url: string, init?: RequestInit) => Promise<Response>

const SECRET_PARAMETERS = new Set(['code', 'code_challenge', 'completion_code', 'nonce', 'session_id', 'state'])
const SECRET_FIELDS = new Set(['access_token', 'completion_code', 'session_id'])
/** Of an authorization URL's parameters, the others tell the story. */
const DULL_PARAMETERS = new Set(['redirect_uri', 'response_type', 'code_challenge_method'])
const ANSWER_SHOWN = 160

/** A fetch that adds each request and its answer to `heard`. */
export function recordingFetch(heard: Exchange[], { from, to }: Pick<Exchange, 'from' | 'to'>): Fetch {
  return async (url, init = {}) => {
    const started = performance.now()
    const response = await fetch(url, init)
    const text = await response.clone().text()
    const ms = performance.now() - started
    const location = response.headers.get('location')
    const answer = location === null ? shortBody(text) : `to ${shortUrl(location)}`
    heard.push({ from, to, method: init.method ?? 'GET', path: shortPath(new URL(url)), status: response.status, answer, ms })
    return response
  }
}

/** `sbx_at_BMA9…x7Qd`: of a long one the end too, because many begin alike. */
export function shortSecret(secret: string): string {
  if (secret.length <= 16) return '…'
  return `${secret.slice(0, 11)}…${secret.length >= 40 ? secret.slice(-4) : ''}`
}

export function shortUrl(text: string): string {
  return URL.canParse(text) ? `${new URL(text).origin}${shortPath(new URL(text))}` : text
}

export function shortPath({ pathname, searchParams }: URL): string {
  const pairs = [...searchParams].filter(([name]) => !DULL_PARAMETERS.has(name))
  const query = pairs.map(([name, value]) => `${name}=${SECRET_PARAMETERS.has(name) ? shortSecret(value) : value}`).join('&')
  return query === '' ? pathname : `${pathname}?${query}`
}

function shortBody(text: string): string {
  const body = parsed(text)
  if (body === null) return cut(text.replace(/\s+/g, ' ').trim())
  const { errors } = body as { errors?: readonly { code: string; message: string }[] }
  if (errors) return cut(errors.map(({ code, message }) => `${code}: ${message}`).join('; '))
  return cut(
    Object.entries(body)
      .flatMap(([name, value]) => shortField(name, value) ?? [])
      .join('  '),
  )
}

function parsed(text: string): object | null {
  try {
    const body: unknown = JSON.parse(text)
    return typeof body === 'object' ? body : null
  } catch {
    return null
  }
}

/** What is empty says nothing here. */
function shortField(name: string, value: unknown): string | null {
  if (value === null || (Array.isArray(value) && value.length === 0)) return null
  if (typeof value !== 'string') return `${name} ${JSON.stringify(value)}`
  if (SECRET_FIELDS.has(name)) return `${name} ${shortSecret(value)}`
  return `${name} ${name === 'url' ? shortUrl(value) : value}`
}

function cut(text: string): string {
  return text.length > ANSWER_SHOWN ? `${text.slice(0, ANSWER_SHOWN - 1)}…` : text
}
