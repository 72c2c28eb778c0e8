/** Compares a document with its schema and says in words what does not fit, where, and what would. */

import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import type { TSchema } from 'typebox'
import { type Mistake, mistakeAt, mistakeAtKey, nearest, type Path, pathText, type Source } from './mistake.ts'

export type Validate = (value: unknown, source: Source, base?: Path) => Mistake[]

/**
 * First the shape; then the rules, given what of the fields has the right shape: one mistake must not hide another.
 * What the rules then miss of a field was told already.
 */
export function shapeThen<T extends object>(
  validate: Validate,
  definition: unknown,
  source: Source,
  base: Path,
  rules: (sound: Partial<T>, broken: readonly string[]) => Mistake[],
): Mistake[] {
  const misshapen = validate(definition, source, base)
  if (typeof definition !== 'object' || definition === null || Array.isArray(definition)) return misshapen
  const about = (field: string) => {
    const path = pathText([...base, field])
    return (mistake: Mistake) =>
      mistake.path === path || mistake.path.startsWith(`${path}.`) || mistake.path.startsWith(`${path}[`)
  }
  const told = new Set(misshapen.map(({ path }) => path))
  const broken = Object.keys(definition).filter((field) => misshapen.some(about(field)))
  const sound = Object.fromEntries(Object.entries(definition).filter(([field]) => !broken.includes(field))) as Partial<T>
  const ruled = rules(sound, broken).filter(
    (mistake) => !told.has(mistake.path) && !broken.some((field) => about(field)(mistake)),
  )
  return [...misshapen, ...ruled]
}

/** Our schemas are held to their types by the compiler: checking them against the schema of schemas would only cost time to start and memory. */
const ajv = new Ajv({
  allErrors: true,
  verbose: true,
  allowUnionTypes: true,
  strictTuples: false,
  meta: false,
  validateSchema: false,
  // Making the code smaller takes a tenth of the time to start; what it checks is read once.
  code: { optimize: false },
})
ajv.addVocabulary(['patternErrorMessage'])

/** Compiled when it is first needed, which for some is never. */
export function validator(schema: TSchema): Validate {
  let compiled: ValidateFunction | null = null
  return (value, source, base = []) => {
    compiled ??= ajv.compile(schema)
    if (compiled(value)) return []
    return distinct((compiled.errors ?? []).map((error) => explained(error, source, base, value)))
  }
}

function explained(error: ErrorObject, source: Source, base: Path, document: unknown): Mistake {
  const here = [...base, ...steps(error.instancePath, document)]
  const { keyword, params, parentSchema, data } = error
  switch (keyword) {
    case 'additionalProperties': {
      const name = String(params['additionalProperty'])
      const known = Object.keys((parentSchema?.['properties'] ?? {}) as object)
      const meant = nearest(
        name,
        known.filter((field) => !Object.hasOwn(Object(data), field)),
      )
      return mistakeAtKey(
        source,
        [...here, name],
        meant ? `is unknown: did you mean ${meant}?` : `is unknown; known are ${known.join(', ')}`,
      )
    }
    case 'required':
      return mistakeAt(source, [...here, String(params['missingProperty'])], 'is missing')
    case 'enum': {
      const allowed = (params['allowedValues'] as unknown[]).map(String)
      const meant = typeof data === 'string' ? nearest(data, allowed) : null
      return mistakeAt(source, here, `must be one of ${allowed.map(shown).join(', ')}${meant ? `: did you mean ${meant}?` : ''}`)
    }
    case 'type':
      return mistakeAt(
        source,
        here,
        `must be ${kindOf(params['type'])}, not ${kindOfValue(data)}${quoteHint(params['type'], data)}`,
      )
    case 'pattern':
      return mistakeAt(source, here, String(parentSchema?.['patternErrorMessage'] ?? `must match ${String(params['pattern'])}`))
    case 'minLength':
      return mistakeAt(source, here, 'must not be empty')
    case 'minItems':
      return mistakeAt(source, here, 'must name at least one')
    case 'uniqueItems':
      return mistakeAt(source, [...here, Number(params['i'])], 'stands here twice')
    default:
      return mistakeAt(source, here, error.message ?? keyword)
  }
}

/** `/apps/0/client_id`, with list positions as numbers. */
function steps(pointer: string, document: unknown): Path {
  let inside = document
  return pointer
    .split('/')
    .slice(1)
    .map((step) => {
      const key = step.replaceAll('~1', '/').replaceAll('~0', '~')
      const inList = Array.isArray(inside)
      inside = (inside as Readonly<Record<string, unknown>> | null)?.[key]
      return inList ? Number(key) : key
    })
}

function kindOf(type: unknown): string {
  const kinds: Readonly<Record<string, string>> = {
    string: 'text',
    array: 'a list',
    object: 'a map of fields',
    boolean: 'true or false',
    integer: 'a whole number',
    number: 'a number',
    null: 'nothing',
  }
  return [type]
    .flat()
    .map((name) => kinds[String(name)] ?? String(name))
    .join(' or ')
}

function kindOfValue(value: unknown): string {
  return kindOf(value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value)
}

/** YAML reads `client_id: 0123` as a number and `on: true` as a truth. */
function quoteHint(wanted: unknown, value: unknown): string {
  return wanted === 'string' && ['number', 'boolean'].includes(typeof value) ? ': put it in quotes' : ''
}

function shown(value: string): string {
  return value.trim() === '' ? `'${value}'` : value
}

function distinct(mistakes: readonly Mistake[]): Mistake[] {
  return [...new Map(mistakes.map((mistake) => [`${mistake.path} ${mistake.message}`, mistake])).values()]
}
