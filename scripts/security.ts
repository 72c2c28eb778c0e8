/**
 * npm run security: runs every test of an attack, and prints which attack is shown by which test.
 *
 * Ends with 1 when one fails.
 */

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { numberedRows, proofs } from '../test/coverage.ts'
import { filesNamed } from './docs.ts'

const ROOT = join(import.meta.dirname, '..')
const attacks = numberedRows(readFileSync(join(ROOT, 'test/security/README.md'), 'utf8'), 'S')

const { status } = spawnSync(process.execPath, ['scripts/test.ts', '--test-name-pattern=S-\\d\\d'], {
  cwd: ROOT,
  stdio: 'inherit',
})
console.log(`\n${proofs(attacks, filesNamed('.ts'), 'attacks')}`)
process.exitCode = status ?? 1
