/** That our constructors make what TypeBox makes, of the shapes that the broker uses. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Type as TypeBox } from 'typebox'
import { Type } from './json-schema.ts'

const plain = (schema: unknown): unknown => JSON.parse(JSON.stringify(schema))

/** Every constructor with and without options, and inside of each other. */
function samples(t: Pick<typeof TypeBox, keyof typeof Type>): Record<string, unknown> {
  const described = { description: 'what it is' }
  const text = t.String({ minLength: 1, maxLength: 9, pattern: '^a', ...described })
  const state = t.Union([t.Literal('waiting'), t.Literal('dead', described)])
  return {
    array: t.Array(text, { minItems: 1, uniqueItems: true, ...described }),
    arrayOfArrays: t.Array(t.Array(t.Integer())),
    boolean: t.Boolean(),
    describedBoolean: t.Boolean(described),
    enum: t.Enum(['a', 'b'], described),
    integer: t.Integer({ minimum: 0, maximum: 300 }),
    null: t.Null(),
    nullable: t.Union([text, t.Null()], described),
    empty: t.Object({}),
    needsAll: t.Object({ text, state }, { additionalProperties: false }),
    needsSome: t.Object({ text, maybe: t.Optional(text), state: t.Optional(state), last: t.Null() }, described),
    needsNone: t.Object({ maybe: t.Optional(t.Boolean()) }),
    record: t.Record(t.String(), t.Array(t.Enum(['a'])), described),
    plainRecord: t.Object({ config: t.Optional(t.Record(t.String(), t.String())) }),
    string: t.String(),
    unsafe: t.Unsafe<string | null>({ type: ['array', 'null'], items: text, ...described }),
  }
}

for (const [name, theirs] of Object.entries(samples(TypeBox)))
  test(`${name}, down to the order of what it says`, () => {
    assert.equal(JSON.stringify(samples(Type)[name]), JSON.stringify(theirs))
  })

test('what may be left out of one object is still needed in another', () => {
  const text = Type.String()
  const both = { one: Type.Object({ text: Type.Optional(text) }), other: Type.Object({ text }) }
  assert.deepEqual(plain(both), {
    one: { type: 'object', properties: { text: { type: 'string' } } },
    other: { type: 'object', required: ['text'], properties: { text: { type: 'string' } } },
  })
})
