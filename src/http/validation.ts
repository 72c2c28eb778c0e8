/**
 * Holds requests against the schemas of their routes. Each is compiled when it is first needed: doing all of it at the start, with the framework's
 * compilers, would be a tenth of the time to start.
 */

import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import type { FastifyServerOptions } from 'fastify'
import { isStorable, STORABLE } from './schemas.ts'

/** What is given is what is meant: nothing is coerced, added or taken away. The schemas are held to their types by the compiler. */
const ajv = new Ajv({
  meta: false,
  validateSchema: false,
  allowUnionTypes: true,
  code: { optimize: false },
  formats: { [STORABLE]: isStorable },
})

export function validatorOf({
  schema,
}: {
  readonly schema: object
}): (value: unknown) => true | { readonly error: ErrorObject[] } {
  let compiled: ValidateFunction | null = null
  return (value) => {
    compiled ??= ajv.compile(schema)
    return compiled(value) || { error: compiled.errors ?? [] }
  }
}

type Compilers = NonNullable<NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']>

/** In the place of the framework's own, whose types say more than it asks for. */
export const compilers = {
  buildValidator: () => validatorOf,
  // Answers are written past the framework.
  buildSerializer: () => () => JSON.stringify,
} as unknown as Compilers
