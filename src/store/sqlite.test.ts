/** The SQLite store does what every store must, in memory and in a file. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { conformance } from './conformance.ts'
import { openSqliteStore } from './sqlite.ts'

const folder = mkdtempSync(join(tmpdir(), 'latchstring-'))
let files = 0
after(() => rmSync(folder, { recursive: true }))

conformance('sqlite', () => openSqliteStore(join(folder, `${++files}.db`)))
conformance('sqlite in memory', () => openSqliteStore(':memory:'))
