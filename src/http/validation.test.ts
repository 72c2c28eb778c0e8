/** That every route's schemas can be compiled, which otherwise its first request would find out. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ROUTES } from './routes.ts'
import { validatorOf } from './validation.ts'

for (const { method, path, query, body } of ROUTES)
  test(`${method} ${path} can be held against its schemas`, () => {
    for (const schema of [query, body]) {
      if (!schema) continue
      const validate = validatorOf({ schema })
      assert.doesNotThrow(() => validate({}))
      const refused = validate('no object')
      assert(refused !== true && refused.error[0]?.keyword === 'type')
    }
  })
