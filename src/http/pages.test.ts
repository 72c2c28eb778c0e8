/** The pages hold whatever an app, a provider or a stranger writes into them. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  type Confirmation,
  confirmPage,
  connectedPage,
  expiredPage,
  type Failure,
  failedPage,
  notFoundPage,
  type Page,
} from './pages.ts'

const asked: Confirmation = {
  appName: 'My App',
  providerName: 'GitHub',
  userId: 'kp_123',
  orgCode: null,
  scopes: ['repo', 'read:user'],
  action: '/connect/h4ndle',
  csrf: 'c5rf',
  providerOrigin: 'https://github.com',
  returnOrigin: 'http://127.0.0.1:9/app/callback',
  expiresInMinutes: 10,
}

const everyPage: readonly Page[] = [
  confirmPage(asked),
  connectedPage({ appName: 'My App', providerName: 'GitHub', accountLabel: 'ada' }),
  failedPage({
    what: 'GitHub said no.',
    remedy: 'Start again.',
    said: { by: 'GitHub', words: 'no' },
    reference: 'ACCESS_DENIED',
  }),
  expiredPage({ appName: 'My App' }),
  notFoundPage(),
]

test('S-07 the confirming page names the app, the provider and whom the connection is for, and warns whoever did not start it', () => {
  const text = words(confirmPage(asked))
  assert.match(text, /Connect your GitHub account to My App/)
  assert.match(text, /For the user kp_123 of My App/)
  assert.match(text, /Did you start this in My App yourself\? If not, or if kp_123 is not you, close this page\./)
  assert.match(text, /repo read:user/)
  assert.match(text, /works for 10 minutes/)
})

test('S-07 for an organisation the confirming page says so', () => {
  const text = words(confirmPage({ ...asked, userId: null, orgCode: 'org_7' }))
  assert.match(text, /For the organisation org_7 of My App/)
  assert.match(text, /if org_7 is not your organisation, close this page/)
  const both = words(confirmPage({ ...asked, orgCode: 'org_7' }))
  assert.match(both, /For the user kp_123 \(organisation org_7 ?\) of My App/)
  assert.match(both, /if kp_123 is not you, or org_7 is not your organisation, close this page/)
})

test('the form posts to the path it was given, carries the CSRF value, and each button says what it decides', () => {
  const { html } = confirmPage({ ...asked, csrf: 'a"b' })
  assert.match(html, /<form class="buttons" method="post" action="\/connect\/h4ndle">/)
  assert.match(html, /<input type="hidden" name="csrf" value="a&quot;b">/)
  const buttons = [...html.matchAll(/<button[^>]*name="(\w+)" value="(\w+)">/g)].map(([, field, value]) => `${field}=${value}`)
  assert.deepEqual(buttons, ['decision=continue', 'decision=cancel'], 'continue is first, so the Enter key means it')
})

test('the form refuses to post anywhere but to a path of our own', () => {
  for (const action of ['https://evil.example/', '//evil.example/', '/\\evil.example/', 'javascript:alert(1)', '']) {
    assert.throws(() => confirmPage({ ...asked, action }), TypeError, action)
  }
})

test('an app that asks for many scopes shows the first, folds the rest, and counts all of them', () => {
  assert.doesNotMatch(words(asking(7)), /more/)
  assert.match(words(asking(20)), /scope\.5 and 14 more scope\.6/)
  const thousands = asking(5000)
  assert.match(words(thousands), /and 4994 more scope\.6 .*scope\.59 and 4940 more/)
  assert.ok(thousands.html.length < 30_000)
})

test('a scope that is an address is shown whole, and an app that asks for nothing says whose choice that leaves it', () => {
  const { html } = confirmPage({ ...asked, scopes: ['https://www.example.com/auth/drive.readonly'] })
  assert.match(html, /<span>https:\/\/www\.example\.com\/auth\/<\/span><wbr>drive\.readonly/)
  assert.match(words(confirmPage({ ...asked, scopes: [] })), /Nothing in particular: GitHub decides/)
})

test('the page after connecting says which account, if the provider told us', () => {
  const made = { appName: 'My App', providerName: 'GitHub', accountLabel: 'ada@example.com' }
  assert.match(words(connectedPage(made)), /Your GitHub account ada@example\.com is connected to My App\./)
  assert.match(
    words(connectedPage({ ...made, accountLabel: null })),
    /Your GitHub account is connected to My App\. You can close this page\./,
  )
})

test('S-09 an expired link offers no way to continue', () => {
  for (const page of [expiredPage({ appName: 'My App' }), expiredPage({ appName: null }), expiredPage()]) {
    assert.match(words(page), /This link has expired/)
    assert.match(words(page), /Go back to (My App|the app you came from) and start again there/)
    assert.doesNotMatch(page.html, /<(a|form|button|input|script)\b/)
    assert.match(policy(page).get('form-action') ?? '', /^'none'$/)
  }
})

test('a failure has no code in its headline, and a reference only when there is one', () => {
  const failure = { what: 'GitHub said no.', remedy: 'Go back to My App and start again there.' }
  const text = words(failedPage({ ...failure, reference: 'ACCESS_DENIED' }))
  assert.match(
    text,
    /^That did not work .*That did not work GitHub said no\. Go back to My App and start again there\. Reference: ACCESS_DENIED/,
  )
  assert.doesNotMatch(words(failedPage(failure)), /Reference/)
})

test('S-36 an error description with a script in it is text, in quotation, and no longer than 300 characters', () => {
  const { html } = failedPage({
    what: 'The provider refused.',
    remedy: 'Start again.',
    said: { by: 'GitHub', words: `<script>alert(1)</script>${'!'.repeat(10_000)}` },
  })
  const quoted = /<blockquote>.*<p><bdi>(.*?)<\/bdi><\/p><\/blockquote>/s.exec(html)?.[1] ?? ''
  assert.ok(quoted.startsWith('&lt;script&gt;alert(1)&lt;/script&gt;!!!'))
  assert.equal([...unescape(quoted)].length, 300)
})

test('S-36 a name made of nothing gets a name of ours', () => {
  const text = words(confirmPage({ ...asked, appName: '\u202E\u200B', providerName: '', userId: ' ' }))
  assert.match(text, /Connect your the provider account to an unnamed app For the user \(blank\) of an unnamed app/)
})

test('S-35 every page forbids framing, sniffing, storing and referring, and runs no script or style but ours', () => {
  for (const page of everyPage) {
    const headers = page.headers
    assert.equal(headers['content-type'], 'text/html; charset=utf-8')
    assert.equal(headers['referrer-policy'], 'no-referrer')
    assert.equal(headers['cache-control'], 'no-store')
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.equal(headers['x-frame-options'], 'DENY')
    assert.equal(headers['cross-origin-opener-policy'], 'same-origin')
    assert.match(headers['x-robots-tag'] ?? '', /noindex/)
    const rules = policy(page)
    assert.equal(rules.get('default-src'), "'none'")
    assert.equal(rules.get('base-uri'), "'none'")
    assert.equal(rules.get('frame-ancestors'), "'none'")
    assert.equal(rules.get('script-src'), page.html.includes('<script') ? "'self'" : undefined)
    assert.doesNotMatch(headers['content-security-policy'] ?? '', /unsafe/)
    const style = /<style>(.*)<\/style>/s.exec(page.html)?.[1] ?? ''
    assert.equal(rules.get('style-src'), `'sha256-${createHash('sha256').update(style).digest('base64')}'`)
  }
})

test('S-35 the confirming form may lead to the provider and back to the app, and the other pages lead nowhere', () => {
  const [confirm, ...others] = everyPage.map((page) => policy(page).get('form-action'))
  assert.equal(confirm, "'self' https://github.com http://127.0.0.1:9 https:")
  assert.deepEqual(new Set(others), new Set(["'none'"]))
})

test('S-36 whatever is written into them, all pages are well-formed, have one heading and one main part, and run nothing', () => {
  fc.assert(
    fc.property(anyPage(), (page) => assertSound(page)),
    { numRuns: 300 },
  )
})

test('the check for well-formed pages notices what it is there for', () => {
  const sound = confirmPage(asked)
  const broken = {
    'an open tag': sound.html.replace('</h1>', ''),
    'tags that cross': sound.html.replace('</bdi></h1>', '</h1></bdi>'),
    'a second script': sound.html.replace('</main>', '<script>1</script></main>'),
    'a style attribute': sound.html.replace('<h1>', '<h1 style="color:red">'),
    'a handler': sound.html.replace('<h1>', '<h1 onclick="x()">'),
    'an override': sound.html.replace('My App', 'My\u202EApp'),
  }
  for (const [what, html] of Object.entries(broken))
    assert.throws(() => assertSound({ ...sound, html }), assert.AssertionError, what)
})

function asking(count: number): Page {
  return confirmPage({ ...asked, scopes: Array.from({ length: count }, (_, at) => `scope.${at}`) })
}

/** A document in which nothing but our own words acts: the shape is checked tag by tag, as a strict reader would. */
function assertSound({ html }: Page): void {
  const joined = html.replace(
    /(?<=[\p{L}\p{M}\p{Extended_Pictographic}\p{Emoji_Modifier}])[\u200C\u200D](?=[\p{L}\p{M}\p{Extended_Pictographic}])/gu,
    '',
  )
  assert.doesNotMatch(joined.replaceAll('\n', ''), /[\p{Cc}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}]/u)
  assert.ok(html.length < 80_000, `${html.length} characters`)
  const [opening, doctype] = [html.replace(/<style>.*?<\/style>/s, ''), '<!doctype html>\n']
  assert.ok(opening.startsWith(doctype))
  const open: string[] = []
  const seen: string[] = []
  for (const [text, close, tag = '', attributes = '', selfClosed] of opening
    .slice(doctype.length)
    .matchAll(/<(\/?)([a-z][a-z0-9]*)((?:\s[^<>]*?)?)(\/?)>|[<>]/g)) {
    assert.notEqual(tag, '', `a lone ${text}`)
    if (close) {
      assert.equal(open.pop(), tag, `</${tag}> closes what was opened last`)
      continue
    }
    assert.match(attributes, /^(\s[a-zA-Z][a-zA-Z-]*(="[^"<>]*")?)*$/, `attributes of <${tag}>`)
    assert.doesNotMatch(attributes, /\s(style|on\w+)(=|\s|$)/)
    seen.push(tag === 'script' ? `script${attributes}` : tag)
    if (!selfClosed && !['meta', 'link', 'input', 'wbr'].includes(tag)) open.push(tag)
  }
  assert.deepEqual(open, [])
  const count = (tag: string) => seen.filter((each) => each === tag).length
  assert.deepEqual([count('h1'), count('main'), count('title')], [1, 1, 1])
  const scripts = seen.filter((each) => each.startsWith('script'))
  assert.deepEqual(scripts, count('form') ? ['script src="page.js" defer'] : [])
  assert.ok(seen.every((tag) => !['img', 'iframe', 'base', 'object', 'embed', 'a'].includes(tag)))
  assert.match(html, /<html lang="en">/)
  assert.match(html, /<meta name="viewport" content="width=device-width, initial-scale=1">/)
}

function anyPage(): fc.Arbitrary<Page> {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 400 }),
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom(
      '</title><script>alert(1)</script>',
      '\u202Eevil\u202C',
      '"><img src=x onerror=alert(1)>',
      "' autofocus onfocus='x",
      '</style><style>*{display:none}',
      '-->',
      '&lt;script&gt;',
      '${7*7}',
      'W'.repeat(10_000),
      '\u200B\u2060\uFEFF',
      '\u200Dمی\u200Cخواهم\u200C\u200D',
      '\ud800',
    ),
  )
  const options = { requiredKeys: ['what', 'remedy'] as ['what', 'remedy'] }
  return fc.oneof(
    fc
      .record({
        appName: text,
        providerName: text,
        userId: fc.option(text),
        orgCode: fc.option(text),
        scopes: fc.array(text, { maxLength: 80 }),
        csrf: fc.base64String(),
        action: fc.webPath().map((path) => `/connect${path}`),
        expiresInMinutes: fc.double(),
      } as const)
      .map((hostile) => confirmPage({ ...asked, ...hostile })),
    fc.record({ appName: text, providerName: text, accountLabel: fc.option(text) }).map(connectedPage),
    fc
      .record(
        { title: text, what: text, remedy: text, said: fc.record({ by: text, words: text }), reference: text, seen: text },
        options,
      )
      .map((failure: Failure) => failedPage(failure)),
    fc.record({ appName: fc.option(text) }).map(expiredPage),
    fc.constant(notFoundPage()),
  )
}

/** What a reader reads. */
function words({ html }: Page): string {
  const text = html
    .replace(/<style>.*<\/style>/s, '')
    .replace(/<\/?bdi[^>]*>|<wbr>/g, '')
    .replace(/<[^>]+>/g, ' ')
  return unescape(text)
    .replace(/\s+/g, ' ')
    .replace(/ ([.,?])/g, '$1')
    .trim()
}

function unescape(text: string): string {
  return text
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&quot;/g, '"')
    .replace(/&#39;/g, "'")
    .replace(/&amp;/g, '&')
}

function policy({ headers }: Page): Map<string, string> {
  const directives = (headers['content-security-policy'] ?? '').split('; ')
  return new Map(directives.map((each) => [each.slice(0, each.indexOf(' ')), each.slice(each.indexOf(' ') + 1)]))
}
