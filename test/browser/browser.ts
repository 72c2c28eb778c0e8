/** Debian's Chromium, driven by playwright-core: one browser for all tests, and a fresh profile for each visitor. */

import assert from 'node:assert/strict'
import { accessSync, constants, mkdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { after, type TestContext } from 'node:test'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'

const SCREENSHOTS = join(import.meta.dirname, '../../artefacts/screenshots')

/** Nobody in these tests is further away than this machine, so a page that asks for somebody else is noticed. */
const NOBODY_ELSE = '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost'

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  NOBODY_ELSE,
]

const MISSING = 'there is no Chromium: install the package chromium, or name the program in CHROMIUM'

const executable =
  process.env['CHROMIUM'] || ['/usr/bin', ...(process.env['PATH'] ?? '').split(delimiter)].map(inFolder).find(isThere)

/** Options for `test` and `describe`. In CI a missing browser is no excuse: there the tests run, and fail. */
export const needsBrowser = { skip: executable === undefined && process.env['CI'] !== 'true' ? MISSING : false }

let launched: Promise<Browser> | undefined
after(async () => (await launched)?.close())

function browser(): Promise<Browser> {
  if (executable === undefined) throw new Error(MISSING)
  launched ??= chromium.launch({ executablePath: executable, args: ARGUMENTS })
  return launched
}

const SCREENS = {
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
  desktop: { viewport: { width: 1280, height: 800 } },
} as const

export type Screen = keyof typeof SCREENS

export interface Wishes {
  /** Default: desktop. */
  readonly screen?: Screen
  /** Default: true. */
  readonly javaScript?: boolean
  readonly dark?: boolean
  /** Complaints that are about somebody else's pages. */
  readonly notOurs?: RegExp
}

export interface Visitor {
  readonly page: Page
  readonly context: BrowserContext
  /** What the browser complained of: errors and warnings of a page, policies that were broken. Empty, or the test fails at its end. */
  readonly complaints: string[]
  /** The addresses of the forms that were sent, in order. */
  readonly posts: string[]
  /** Opens a page; resolves to its status. */
  open(url: string | URL): Promise<number>
  /** Presses the button of that name. */
  press(name: string): Promise<void>
  /** Presses what is focused, which has to have that name. */
  enter(name: string): Promise<void>
  /** Waits for the page whose first heading is this. */
  sees(heading: string | RegExp): Promise<void>
  /** The whole page, for people to look at, as `<name>-<screen>.png`; as wide as another screen, if one is named. */
  shoot(name: string, as?: Screen): Promise<void>
}

/** Somebody with a browser of their own, which is closed when the test is over. */
export async function visitor(t: TestContext, wishes: Wishes = {}): Promise<Visitor> {
  const { screen = 'desktop', javaScript = true, dark = false, notOurs } = wishes
  const colorScheme = dark ? 'dark' : 'light'
  const context = await (await browser()).newContext({ ...SCREENS[screen], javaScriptEnabled: javaScript, colorScheme })
  context.setDefaultTimeout(10_000)
  const page = await context.newPage()
  const complaints: string[] = []
  const posts: string[] = []
  page.on('console', (message) => {
    const { url } = message.location()
    // That a page answers 410 is what some tests are about. That a part of a page is missing never is.
    const ofThePageItself = url === page.url() && message.text().startsWith('Failed to load resource')
    const complaint = `${message.text()} (${url})`
    if (['error', 'warning'].includes(message.type()) && !ofThePageItself && !notOurs?.test(complaint)) complaints.push(complaint)
  })
  page.on('pageerror', (error) => void complaints.push(String(error)))
  page.on('request', (request) => void (request.method() === 'POST' && posts.push(request.url())))
  t.after(async () => {
    await context.close()
    assert.deepEqual(complaints, [], 'the browser had nothing to complain of')
  })

  const button = (name: string) => page.getByRole('button', { name, exact: true })
  return {
    page,
    context,
    complaints,
    posts,
    open: async (url) => (await page.goto(String(url)))?.status() ?? 0,
    press: (name) => button(name).click(),
    async enter(name) {
      assert.equal(await button(name).evaluate((element) => element.matches(':focus')), true, `"${name}" is focused`)
      await page.keyboard.press('Enter')
    },
    sees: (heading) => page.getByRole('heading', { level: 1, name: heading, exact: true }).waitFor(),
    async shoot(name, as = screen) {
      mkdirSync(SCREENSHOTS, { recursive: true })
      if (as !== screen) await page.setViewportSize(SCREENS[as].viewport)
      await page.screenshot({ path: join(SCREENSHOTS, `${name}-${as}.png`), fullPage: true })
      if (as !== screen) await page.setViewportSize(SCREENS[screen].viewport)
    },
  }
}

/** Through the sandbox's pages, as whoever it is, to wherever that leads. */
export async function consentAtSandbox(who: Visitor, as: string, decision: 'Allow' | 'Deny' = 'Allow'): Promise<void> {
  await who.sees('Sign in')
  await who.page.getByRole('button', { name: as }).click()
  await who.sees(/wants to use your Sandbox account$/)
  await who.press(decision)
}

function inFolder(folder: string): string {
  return join(folder, 'chromium')
}

function isThere(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
