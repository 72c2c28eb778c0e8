/** Reads the catalogue: every `providers/*.yaml`, checked as a whole, all mistakes at once. */

import { readdir, readFile } from 'node:fs/promises'
import { basename, join, relative } from 'node:path'
import type { Provider } from '../core/provider.ts'
import { type Mistake, mistakeAt, type Path, type Source, throwIfAny, withoutLines } from './mistake.ts'
import { LINKED, providerRules } from './provider-rules.ts'
import { providerSchema } from './schema.ts'
import { shapeThen, validator } from './validate.ts'
import { readYaml } from './yaml.ts'

const validate = validator(providerSchema)

/** Throws one `CatalogError` that names every mistake of every file. */
export async function loadCatalog(folder: string): Promise<ReadonlyMap<string, Provider>> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.yaml')).sort()
  const files = await Promise.all(names.map(async (name) => ({ name, text: await readFile(join(folder, name), 'utf8') })))
  return readCatalog(files.map(({ name, text }) => ({ name: relative(process.cwd(), join(folder, name)), text })))
}

export function readCatalog(files: readonly { name: string; text: string }[]): ReadonlyMap<string, Provider> {
  const mistakes: Mistake[] = []
  const catalog = new Map<string, Provider>()
  for (const { name, text } of files) {
    const { value, source, mistakes: unreadable } = readYaml(text, name)
    const found = [
      ...unreadable,
      ...providerMistakes(value, source, []),
      ...(unreadable.length > 0 ? [] : catalogRules(value, source)),
    ]
    mistakes.push(...found)
    if (found.length === 0) catalog.set((value as Provider).id, value as Provider)
  }
  throwIfAny(mistakes)
  return catalog
}

/** One's own provider, from a file or from the body of a request (then `source` is what to call it). Throws `CatalogError`. */
export function checkProvider(definition: unknown, source: Source | string): Provider {
  throwIfAny(providerMistakes(definition, typeof source === 'string' ? withoutLines(source) : source, []))
  return definition as Provider
}

export function providerMistakes(definition: unknown, source: Source, base: Path): Mistake[] {
  return shapeThen<Provider>(validate, definition, source, base, (sound, broken) =>
    // URLs, hosts and config speak of each other: while one of them cannot be read, nothing true can be said of the rest.
    broken.some((field) => LINKED.has(field)) ? [] : providerRules(sound, source, base),
  )
}

/** What a file of the catalogue owes its readers, and one's own provider does not. */
function catalogRules(value: unknown, source: Source): Mistake[] {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return []
  const provider = value as Partial<Provider>
  const id = basename(source.name, '.yaml')
  const told: Mistake[] = []
  if (typeof provider.id === 'string' && provider.id !== id)
    told.push(mistakeAt(source, ['id'], `must be ${id}, as the file is called`))
  for (const field of ['docs', 'checked', 'hosts'] as const) {
    if (provider[field] === undefined) told.push(mistakeAt(source, [field], 'is missing: a file of the catalogue says it'))
  }
  return told
}
