/**
 * JSON Schemas that are types at once: the constructors of TypeBox that we use, with its types. Of the library itself nothing is loaded: what it does
 * beyond these few lines would be a fifth of the time to start.
 */

import type { Type as TypeBox } from 'typebox'

type Options = Readonly<Record<string, unknown>>
type Schema = Readonly<Record<string, unknown>>

/** Properties that need not be there. */
const optional = new WeakSet<Schema>()

const constructors = {
  Array: (items: Schema, options?: Options): Schema => ({ type: 'array', items, ...options }),
  Boolean: (options?: Options): Schema => ({ type: 'boolean', ...options }),
  Enum: (values: readonly string[], options?: Options): Schema => ({ enum: values, ...options }),
  Integer: (options?: Options): Schema => ({ type: 'integer', ...options }),
  Literal: (value: string, options?: Options): Schema => ({ type: 'string', const: value, ...options }),
  Null: (options?: Options): Schema => ({ type: 'null', ...options }),
  Object: (properties: Readonly<Record<string, Schema>>, options?: Options): Schema => {
    const required = Object.keys(properties).filter((name) => !optional.has(properties[name]!))
    return { type: 'object', ...(required.length > 0 && { required }), properties, ...options }
  },
  Optional: (schema: Schema): Schema => {
    const copy = { ...schema }
    optional.add(copy)
    return copy
  },
  /** Of any names to values of one kind. */
  Record: (_names: Schema, value: Schema, options?: Options): Schema => ({
    type: 'object',
    patternProperties: { '^.*$': value },
    ...options,
  }),
  String: (options?: Options): Schema => ({ type: 'string', ...options }),
  Union: (anyOf: readonly Schema[], options?: Options): Schema => ({ anyOf, ...options }),
  Unsafe: (schema: Schema): Schema => schema,
}

/** The types are theirs, and so is what comes out: `json-schema.test.ts` holds it to the library's own. */
export const Type = constructors as unknown as Pick<typeof TypeBox, keyof typeof constructors>
