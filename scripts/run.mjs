/**
 * Runs FILE with a Node that can run TypeScript: the one at hand, or else a pinned one, installed once into tools/node.
 * Behind every npm script and bin/latchstring; plain JavaScript, because the old Node that it replaces must be able to read it.
 *
 *   node scripts/run.mjs FILE ARGS…
 */
// @ts-check

import { spawn } from 'node:child_process'
import module from 'node:module'
import { delimiter, dirname, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const [file, ...args] = process.argv.slice(2)
if (!file) {
  console.error('usage: node scripts/run.mjs FILE ARGS…')
  process.exit(2)
}
await (newEnough(process.versions.node) ? runHere(resolve(file), args) : runWithPinnedNode(resolve(file), args))

/**
 * package.json "engines" says the same. 23.0 to 23.5 came before TypeScript worked without a flag.
 * @param {string} version
 */
function newEnough(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major === 22 ? minor >= 18 : major === 23 ? minor >= 6 : major > 23
}

/**
 * In this very process: a second one would double the time to start.
 * @param {string} path
 * @param {string[]} rest
 */
async function runHere(path, rest) {
  hushKnownWarnings()
  // What was compiled once is not compiled again: faster to start, and 20 MB less memory. Beside the code, where only who may write that can write.
  module.enableCompileCache?.(fileURLToPath(new URL('../node_modules/.cache/latchstring', import.meta.url)))
  process.argv.splice(1, process.argv.length, path, ...rest)
  await import(pathToFileURL(path).href)
}

/** What we rely on although Node still calls it experimental, in a decision of our own; any other warning is news and shown. */
function hushKnownWarnings() {
  const emitWarning = process.emitWarning.bind(process)
  /** @param {string | Error} warning @param {any[]} rest */
  process.emitWarning = (warning, ...rest) => {
    const known = rest[0] === 'ExperimentalWarning' && /sqlite|type stripping/i.test(String(warning))
    if (!known) emitWarning(warning, ...rest)
  }
}

/**
 * @param {string} path
 * @param {string[]} rest
 */
async function runWithPinnedNode(path, rest) {
  const { runtime } = await import('./runtimes.mjs')
  const node = await runtime('node').catch((error) => {
    console.error(`Latchstring needs Node 22.18 or newer; this is ${process.versions.node}.\n${error.message}`)
    process.exit(1)
  })

  // Whatever the file starts by the name "node" should get this one too.
  process.env['PATH'] = [dirname(node), process.env['PATH']].join(delimiter)
  const child = spawn(node, [...process.execArgv, fileURLToPath(import.meta.url), path, ...rest], { stdio: 'inherit' })

  // A terminal sends Ctrl-C to the child as well: passing it on would count as pressing twice, which means "stop at once".
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGHUP'])) process.on(signal, () => child.kill(signal))

  child.on('error', (error) => {
    console.error(
      `Could not start ${node}: ${error.message}\nDelete the folder tools/node and try again, or install Node 22.18 or newer.`,
    )
    process.exit(1)
  })
  child.on('exit', (code, signal) => {
    if (!signal) process.exit(code ?? 1)
    // End as the child did, so that whoever waits for us sees the same.
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}
