/** Which connections an incident is about. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NOW, sampleConnection } from '../store/samples.ts'
import { isMeant } from './incident.ts'
import { DAY_MS, dayOf } from './usage.ts'

test('S-78 a connection whose token was handed out after the moment that --last-used-before names is not revoked', () => {
  const day = dayOf(NOW)
  const used = sampleConnection({ connectedAt: day - 30 * DAY_MS, usedAt: day })
  const meant = (lastUsedBefore: number) => isMeant(used, { lastUsedBefore })
  assert(!meant(day + DAY_MS / 2), 'it may have been used in the afternoon')
  assert(!meant(day))
  assert(meant(day + DAY_MS), 'that day is over')
  assert(isMeant({ ...used, usedAt: null }, { lastUsedBefore: day + DAY_MS / 2 }))
  assert(
    !isMeant({ ...used, usedAt: null, connectedAt: day + DAY_MS }, { lastUsedBefore: day + DAY_MS / 2 }),
    'consenting is a use',
  )
})
