/** Walks the sandbox's pages as a browser would, with plain requests: for scripts and tests without one. */

export interface WalkOptions {
  /** An account's id, name or e-mail, or any name at all. */
  readonly as?: string
  readonly decision?: 'allow' | 'deny'
  /** Cookies by name. Pass the same map again, and the second walk finds its user signed in. */
  readonly cookies?: Map<string, string>
}

const STEPS_MAX = 8

/** Resolves to the address that the browser would be sent to at the end, which is not visited. */
export async function walk(
  authorizeUrl: string,
  { as = 'ada', decision = 'allow', cookies = new Map() }: WalkOptions = {},
): Promise<URL> {
  const { origin } = new URL(authorizeUrl)
  const visit = async (url: URL, form?: URLSearchParams): Promise<Response> => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const post = form && { method: 'POST', body: form }
    const response = await fetch(url, { redirect: 'manual', headers: cookie ? { cookie } : {}, ...post })
    for (const [, name, value] of response.headers.getSetCookie().map((line) => /^([^=]+)=([^;]*)/.exec(line) ?? [])) {
      if (name !== undefined && value !== undefined) cookies.set(name, value)
    }
    return response
  }

  let response = await visit(new URL(authorizeUrl))
  for (let step = 0; step < STEPS_MAX; step++) {
    const location = response.headers.get('location')
    const html = await response.text()
    if (location !== null) {
      const next = new URL(location, origin)
      if (next.origin !== origin || next.pathname !== '/authorize') return next
      response = await visit(next)
      continue
    }
    const form = formIn(html)
    if (!form) throw new Error(`the walk ended with status ${response.status}: ${messageIn(html)}`)
    if (form.action === '/login') form.fields.set('name', as)
    else form.fields.set('decision', decision)
    response = await visit(new URL(form.action, origin), form.fields)
  }
  throw new Error(`still walking after ${STEPS_MAX} steps`)
}

/** The first form of a page, filled with its hidden fields. */
function formIn(html: string): { action: string; fields: URLSearchParams } | null {
  const [, action, inner] = /<form method="post" action="([^"]+)">(.*?)<\/form>/s.exec(html) ?? []
  if (action === undefined || inner === undefined) return null
  const hidden = [...inner.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)">/g)]
  return { action, fields: new URLSearchParams(hidden.map(([, name, value]): [string, string] => [name!, unescaped(value!)])) }
}

const messageIn = (html: string): string => unescaped(/role="alert">([^<]*)</.exec(html)?.[1] ?? html.slice(0, 200))

const unescaped = (text: string): string =>
  text.replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')
