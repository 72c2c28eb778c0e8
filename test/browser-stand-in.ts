/** A browser without a screen: keeps cookies by host, follows nothing by itself, and submits the forms it is shown. */

export class Browser {
  readonly #cookies = new Map<string, Map<string, string>>()

  /** One request, with this browser's cookies; redirects are not followed. */
  async visit(url: string | URL, form?: URLSearchParams, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    const { host } = new URL(url)
    const jar = this.#cookies.get(host) ?? new Map<string, string>()
    this.#cookies.set(host, jar)
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const post = form && { method: 'POST', body: form }
    const response = await fetch(url, { redirect: 'manual', headers: { ...headers, ...(cookie && { cookie }) }, ...post })
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (name !== undefined && value !== undefined) jar.set(name, value)
    }
    return response
  }

  /** The value of a cookie that a host gave this browser. */
  cookie(url: string | URL, name: string): string | null {
    return this.#cookies.get(new URL(url).host)?.get(name) ?? null
  }

  /** Visits a page and presses its first button, or the one of that value, as a person without JavaScript would. */
  async press(url: string | URL, button?: { name: string; value: string }): Promise<Response> {
    const page = await this.visit(url)
    const html = await page.text()
    const form = formIn(html)
    if (!form) throw new Error(`no form at ${new URL(url).pathname.slice(0, 20)}… (status ${page.status}): ${html.slice(0, 300)}`)
    for (const [name, value] of Object.entries(button ? { [button.name]: button.value } : form.button))
      form.fields.set(name, value)
    return this.visit(new URL(form.action, url), form.fields)
  }
}

interface Form {
  readonly action: string
  readonly fields: URLSearchParams
  /** Name and value of its first button. */
  readonly button: Readonly<Record<string, string>>
}

export function formIn(html: string): Form | null {
  const [, tag, inner] = /<form\b([^>]*)>(.*?)<\/form>/s.exec(html) ?? []
  if (tag === undefined || inner === undefined) return null
  const fields = new URLSearchParams()
  for (const [input] of inner.matchAll(/<input\b[^>]*type="hidden"[^>]*>/g))
    fields.set(attribute(input, 'name') ?? '', attribute(input, 'value') ?? '')
  const [button] = /<button\b[^>]*>/.exec(inner) ?? ['']
  const name = attribute(button, 'name')
  return {
    action: attribute(tag, 'action') ?? '',
    fields,
    button: name === null ? {} : { [name]: attribute(button, 'value') ?? '' },
  }
}

function attribute(tag: string, name: string): string | null {
  const value = new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1]
  return value === undefined ? null : unescaped(value)
}

function unescaped(text: string): string {
  return text
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
}
