/** What is made from the schemas is as they are. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { generated, outdated } from './schemas.ts'

test("the editors' schemas and the README's table of fields are in step with the code", () => {
  assert.deepEqual(outdated(), [], 'run node scripts/schemas.ts')
})

test('every field of a provider is in the README, and in the schema that editors read', () => {
  const schema = JSON.parse(generated().get('providers/provider.schema.json') ?? '') as {
    properties: Record<string, { description: string }>
  }
  const readme = readFileSync(join(import.meta.dirname, '../providers/README.md'), 'utf8')
  for (const [name, field] of Object.entries(schema.properties)) {
    assert.ok(readme.includes(`| \`${name}\` `), name)
    assert.ok(field.description.length > 0, name)
  }
})
