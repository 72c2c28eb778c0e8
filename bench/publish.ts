/**
 * Writes what a run found into the documents: the README's figures, the model of `docs/scaling.md`, and the chart.
 *
 *   node scripts/run.mjs bench/publish.ts [FILE]      FILE: of bench/results; default: the newest
 */

import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { chart } from './chart.ts'
import { type Figure, plain, type Run } from './figures.ts'
import { model } from './model.ts'

const ROOT = join(import.meta.dirname, '..')
const RESULTS = join(import.meta.dirname, 'results')

const file = process.argv[2] ?? join(RESULTS, await newest())
const run = JSON.parse(await readFile(file, 'utf8')) as Run
const figures = new Map(run.figures.map((figure) => [figure.id, figure]))
await writeFile(join(ROOT, 'docs/figures.svg'), chart(run))
await between('README.md', readme())
await between('docs/scaling.md', `${model(run)}\n\n![Token path, requests a second](figures.svg)`)

async function newest(): Promise<string> {
  const files = (await readdir(RESULTS)).filter((name) => name.endsWith('.json')).sort()
  return files.at(-1) ?? fail('there are no results yet: npm run bench')
}

/** Replaces what stands between the two marks of a document. */
async function between(path: string, text: string): Promise<void> {
  const whole = await readFile(join(ROOT, path), 'utf8')
  const marked = /(<!-- figures[^>]*-->\n)[^]*?(<!-- end of figures -->)/
  if (!marked.test(whole)) fail(`${path} has no marks for figures`)
  await writeFile(
    join(ROOT, path),
    whole.replace(marked, (_, begin: string, end: string) => `${begin}${text}\n${end}`),
  )
}

function readme(): string {
  const rows = [
    row('token.sqlite.16', 'token path, one process, SQLite, 16 connections'),
    row('token.sqlite.64', 'the same, 64 connections'),
    row('ratio.sqlite.route.16', 'of the same Fastify route without a store, 16 connections'),
    row('ratio.sqlite.fastify.16', 'of the same, when Fastify writes each answer by itself'),
    row('token.postgresql.64', 'token path, one process, PostgreSQL, 64 connections'),
    row('ratio.postgresql.sqlite.64', 'of SQLite, 64 connections'),
    row('ratio.sqlite-2.sqlite.64', 'two workers to one, SQLite, 64 connections'),
    row('scale.sqlite.1', 'p50 at a million connections to that at 10,000, one request at a time, SQLite'),
    row('scale.sqlite.16', 'the same, 16 at once: the broker has no rest'),
    row('scale.postgresql.1', 'p50 at a million connections to that at 10,000, one request at a time, PostgreSQL'),
    row('scale.postgresql.16', 'the same, 16 at once'),
    row('large.sqlite', 'memory with a million connections, SQLite'),
    row('large.postgresql', 'the same, PostgreSQL'),
    row('renewals.sqlite', 'renewals of ended tokens, 64 at once, SQLite'),
    row('renewals.postgresql', 'the same, PostgreSQL'),
    row('minute.sqlite', '100,000 tokens that ended at once, all fresh again, SQLite'),
    row('minute.postgresql', 'the same, PostgreSQL'),
    row('flows.sqlite', 'whole connect flows, 16 at once, SQLite'),
    row('start.sqlite', 'start to first answer, SQLite'),
    row('idle.sqlite', 'memory, idle, SQLite'),
    row('packages', 'production packages'),
    row('installed', 'installed for production'),
  ]
  const told = `Measured on ${run.at.slice(0, 10)}: ${run.machine}, Node ${run.versions['node']}; the load was on the same machine. Medians.`
  const image = '![Token path, requests a second](docs/figures.svg)'
  return [told, '', '| | | |', '| --- | --- | --- |', ...rows.filter((one) => one !== null), '', image].join('\n')
}

function row(id: string, what: string): string | null {
  const figure = figures.get(id)
  return figure ? `| ${what} | ${plain(figure.value)}${figure.unit ? ` ${figure.unit}` : ''} | ${beside(figure)} |` : null
}

function beside({ more = {}, note = '' }: Figure): string {
  const { p50Ms, p99Ms, processorMicros, byProcessorRatio, freshMeanwhileP99Ms, peakMb } = more
  const { smallP50Ms, largeP50Ms, smallResidentMb, smallStartMs, largeStartMs } = more
  return [
    p50Ms !== undefined && `p50 ${plain(p50Ms)} ms`,
    p99Ms !== undefined && `p99 ${plain(p99Ms)} ms`,
    processorMicros !== undefined && `${plain(processorMicros)} µs of processor`,
    byProcessorRatio !== undefined && `${plain(byProcessorRatio)} by processor time`,
    freshMeanwhileP99Ms !== undefined && `p99 of a fresh token meanwhile ${plain(freshMeanwhileP99Ms)} ms`,
    peakMb !== undefined && `at most ${plain(peakMb)} MB`,
    smallP50Ms !== undefined && `${plain(largeP50Ms ?? Number.NaN)} and ${plain(smallP50Ms)} ms`,
    smallResidentMb !== undefined && `${plain(smallResidentMb)} MB with 10,000`,
    smallStartMs !== undefined && `started in ${plain(smallStartMs)} and ${plain(largeStartMs ?? Number.NaN)} ms`,
    note,
  ]
    .filter(Boolean)
    .join(', ')
}

function fail(what: string): never {
  process.stderr.write(`${what}\n`)
  process.exit(1)
}
