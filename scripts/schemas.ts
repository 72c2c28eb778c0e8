/** Writes what is made from the schemas: the editors' schemas, and the table of `providers/README.md`. `--check` only compares. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TSchema } from 'typebox'
import { providerSchema } from '../src/catalog/schema.ts'
import { setupSchema } from '../src/catalog/setup-schema.ts'

const ROOT = join(import.meta.dirname, '..')
const README = 'providers/README.md'
const TABLE = /(<!-- fields: made by scripts\/schemas\.ts -->\n\n)[^]*?(\n\n<!-- end of fields -->)/
const LINE_WIDTH = 130

/** File name, from the root, to what it must be. */
export function generated(): ReadonlyMap<string, string> {
  const readme = readFileSync(join(ROOT, README), 'utf8')
  if (!TABLE.test(readme)) throw new Error(`${README} has lost the comments that its table of fields stands between`)
  return new Map([
    ['providers/provider.schema.json', editorSchema(providerSchema, 'A provider of Latchstring')],
    ['latchstring.schema.json', editorSchema(setupSchema, 'latchstring.yaml')],
    [README, readme.replace(TABLE, (_, before: string, after: string) => `${before}${fieldTable()}${after}`)],
  ])
}

/** Names of the generated files that are not as they must be. */
export function outdated(): string[] {
  return [...generated()].filter(([name, text]) => current(name) !== text).map(([name]) => name)
}

function current(name: string): string | null {
  try {
    return readFileSync(join(ROOT, name), 'utf8')
  } catch {
    return null
  }
}

function editorSchema(schema: TSchema, title: string): string {
  return `${formatted({ $schema: 'http://json-schema.org/draft-07/schema#', title, ...schema }, '', 0)}\n`
}

/** As the formatter of this repository writes JSON: a list on one line if it fits. */
function formatted(value: unknown, indent: string, before: number): string {
  if (Array.isArray(value)) {
    const line = `[${value.map((item) => JSON.stringify(item)).join(', ')}]`
    if (indent.length + before + line.length < LINE_WIDTH || value.length === 0) return line
    return `[\n${value.map((item) => `${indent}  ${formatted(item, `${indent}  `, 0)}`).join(',\n')}\n${indent}]`
  }
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const entries = Object.entries(value).map(([key, inside]) => {
    const name = `${JSON.stringify(key)}: `
    return `${indent}  ${name}${formatted(inside, `${indent}  `, name.length)}`
  })
  return entries.length === 0 ? '{}' : `{\n${entries.join(',\n')}\n${indent}}`
}

function fieldTable(): string {
  const table = [['field', 'value', 'what it says'], ...rows(providerSchema as unknown as Shape, '')]
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[], fill: string) =>
    `| ${widths.map((width, column) => (row[column] ?? '').padEnd(width, fill)).join(' | ')} |`
  const [head = [], ...body] = table
  return [line(head, ' '), line([], '-'), ...body.map((row) => line(row, ' '))].join('\n')
}

interface Shape {
  readonly type?: string
  readonly enum?: readonly string[]
  readonly description?: string
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Shape>>
  readonly patternProperties?: Readonly<Record<string, Shape>>
  readonly items?: Shape
}

function rows(schema: Shape, prefix: string): string[][] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const required = schema.required?.includes(name) ? ', required' : ''
    const row = [`\`${prefix}${name}\``, `${kindOf(field)}${required}`, field.description ?? '']
    const each = Object.values(field.patternProperties ?? {})[0]
    return [row, ...rows(field, `${prefix}${name}.`), ...(each?.properties ? rows(each, `${prefix}${name}.*.`) : [])]
  })
}

function kindOf(field: Shape): string {
  if (field.enum) return field.enum.map((value) => `\`${value === ' ' ? "' '" : value}\``).join(' ')
  if (field.type === 'array') return `list of ${field.items?.type === 'integer' ? 'numbers' : 'text'}`
  if (field.type === 'object') return field.patternProperties ? 'names to values' : 'fields'
  return { string: 'text', boolean: 'true or false', integer: 'number' }[field.type ?? ''] ?? ''
}

// Not `import.meta.main`: behind the launcher, this file is imported.
if (process.argv[1] === import.meta.filename) {
  const names = outdated()
  if (!process.argv.includes('--check')) {
    for (const [name, text] of generated()) writeFileSync(join(ROOT, name), text)
    console.log(names.length > 0 ? `wrote ${names.join(', ')}` : 'nothing to write')
  } else if (names.length > 0) {
    console.error(`out of step with src/catalog: ${names.join(', ')}. Run node scripts/schemas.ts`)
    process.exitCode = 1
  }
}
