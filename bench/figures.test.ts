/** What is made of measurements: the table, the model, the chart and the summary of a profile. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chart } from './chart.ts'
import { plain, type Run, table } from './figures.ts'
import { model, needOf } from './model.ts'
import { spent } from './profile.ts'

const RUN: Run = {
  at: '2026-11-26T12:00:00.000Z',
  machine: 'A <fast> machine, 2 cores',
  versions: {},
  options: {},
  figures: [
    {
      id: 'token.sqlite.64',
      what: 'token path, 64 connections, SQLite',
      value: 9876.5,
      unit: 'req/s',
      more: { p99Ms: 4.321, processorMicros: 80 },
    },
    {
      id: 'token.postgresql.64',
      what: 'token path, 64 connections, PostgreSQL',
      value: 4938,
      unit: 'req/s',
      more: { processorMicros: 100, databaseMicros: 40 },
    },
    { id: 'renewals.postgresql', what: 'renewals', value: 500, unit: '/s', more: { processorMicros: 1000, databaseMicros: 600 } },
    { id: 'bytes.postgresql', what: 'bytes', value: 2500, unit: 'bytes' },
  ],
}

test('the table tells each figure with its unit, and what stands beside it in words', () => {
  const [first = ''] = table(RUN.figures).split('\n')
  assert.match(first, /^token path, 64 connections, SQLite {5} 9,877 req\/s {2}p99 4.32 ms, processor 80 µs$/)
  assert.equal(plain(0.8), '0.8')
  assert.equal(plain(Number.NaN), '-')
})

test('the model multiplies what one read, one renewal and one row cost', () => {
  const costs = { readMicros: 100, readDatabaseMicros: 40, renewalMicros: 1000, renewalDatabaseMicros: 600, bytes: 2500 }
  const need = needOf(36_000_000, costs)
  assert.equal(need.readsPerSecond, 6000)
  assert.equal(need.renewalsPerSecond, 1000)
  assert.ok(Math.abs(need.brokerCores - (0.6 + 1) / 0.5) < 1e-9)
  assert.ok(Math.abs(need.databaseCores - (0.24 + 0.6) / 0.5) < 1e-9)
  assert.ok(Math.abs(need.terabytes - 0.09) < 1e-9)
  const told = model(RUN)
  assert.match(told, /\| processor of a read, µs \| 80 \| 100 \| 40 \|/)
  assert.match(told, /\| reads a second \| 1,667 \| 166,667 \|/)
})

test('the chart has a bar for each variant, as long as it is fast, and no word in it is markup', () => {
  const svg = chart(RUN)
  const widths = [...svg.matchAll(/<rect x="[^"]*" y="[^"]*" width="([\d.]+)"/g)].map(([, width]) => Number(width))
  assert.equal(widths.length, 2)
  assert.ok(Math.abs((widths[0] ?? 0) / (widths[1] ?? 1) - 2) < 0.01)
  assert.ok(svg.includes('A &lt;fast> machine'))
})

test('a profile is summed by function, wherever it was called from, without the time that nothing was done', () => {
  const frame = (functionName: string, url = '') => ({ functionName, url, lineNumber: 9 })
  const here = new URL('../src/core/token.ts', import.meta.url).href
  const nodes = [
    { id: 1, callFrame: frame('(idle)') },
    { id: 2, callFrame: frame('token', here) },
    { id: 3, callFrame: frame('token', here) },
    { id: 4, callFrame: frame('', 'file:///somewhere/node_modules/fastify/lib/route.js') },
  ]
  assert.deepEqual(spent({ nodes, samples: [1, 2, 3, 4, 2], timeDeltas: [1000, 10, 20, 30, 40] }), [
    { where: 'token src/core/token.ts:10', micros: 70, share: 0.7 },
    { where: '(anonymous) fastify/lib/route.js:10', micros: 30, share: 0.3 },
  ])
})
