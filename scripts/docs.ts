/**
 * Keeps the documents in step with the code.
 *
 *   node scripts/run.mjs scripts/docs.ts            writes docs/openapi.json
 *   node scripts/run.mjs scripts/docs.ts --check    tells everything that the documents say and the code does not do, or the other way round
 */

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createProgram } from '../cli/program.ts'
import { importSchema } from '../src/catalog/import-file.ts'
import { VARIABLES } from '../src/config.ts'
import { FACT_ACTIONS } from '../src/core/audit.ts'
import { PAGE_ROUTES } from '../src/http/connect-pages.ts'
import { STATUS } from '../src/http/reply.ts'
import { ROUTES } from '../src/http/routes.ts'
import { createMetrics } from '../src/metrics.ts'
import {
  brokenReferences,
  type Document,
  errorsOutOfStep,
  outOfStep,
  tableRows,
  unknownAddresses,
  unknownNames,
  unproved,
  untoldSentences,
} from './doc-rules.ts'
import { openapi } from './openapi.ts'
import { outdated } from './schemas.ts'

const ROOT = join(import.meta.dirname, '..')
const OPENAPI = 'docs/openapi.json'
const DEPENDENCIES = /^docs\/decisions\/[^/]*dependencies[^/]*\.md$/
/** Tests that every store must pass. */
const CONFORMANCE = /^src\/store\/conformance[^/]*\.ts$/
const NOT_OURS = new Set(['node_modules', 'dist', 'tools', 'data', 'artefacts', '.git'])

/** One sentence for each mistake. */
export async function problems(): Promise<string[]> {
  const documents = filesNamed('.md')
  const commands = commandNames()
  const manifest = JSON.parse(read('package.json')) as { dependencies: Record<string, string>; scripts: Record<string, string> }
  const variables = VARIABLES.map(({ name }) => name)
  const described = Object.keys(openapi()['paths'] as object).map((path) => path.replaceAll(/\{(\w+)\}/g, ':$1'))
  const served = [...described, ...PAGE_ROUTES.map(({ path }) => path)]
  const names = { commands, variables: new Set<string>(variables), npmScripts: new Set(Object.keys(manifest.scripts)) }
  const decided = documents.filter(({ path }) => DEPENDENCIES.test(path)).flatMap(({ text }) => [...tableRows(text, /^/).keys()])
  return [
    ...brokenReferences(documents, (path) => existsSync(join(ROOT, path))),
    ...unknownNames(documents, names),
    // The sandbox is another server, with addresses of its own.
    ...unknownAddresses(
      documents.filter(({ path }) => !path.startsWith('sandbox/')),
      served,
    ),
    ...outOfStep('README.md', 'variable', tableRows(read('README.md'), /^LATCHSTRING_/).keys(), variables),
    ...outOfStep('docs/decisions/', 'dependency', decided, Object.keys(manifest.dependencies)),
    ...outOfStep(
      'docs/importing.md',
      'field',
      tableRows(read('docs/importing.md'), /^/).keys(),
      Object.keys(importSchema.properties),
    ),
    ...errors(),
    ...outOfStep('docs/audit.md', 'action', tableRows(section(read('docs/audit.md'), 'What is in it'), /^/).keys(), FACT_ACTIONS),
    ...(await operating()),
    ...unproved('SECURITY.md', read('SECURITY.md'), [
      ...filesNamed('.test.ts'),
      ...filesNamed('.ts').filter(({ path }) => CONFORMANCE.test(path)),
    ]),
    ...(read(OPENAPI) === openapiText()
      ? []
      : [`${OPENAPI} is not what src/http/routes.ts makes of it: run node scripts/run.mjs scripts/docs.ts`]),
    ...outdated().map((name) => `${name} is not what src/catalog makes of it: run node scripts/schemas.ts`),
  ]
}

function errors(): string[] {
  const where = 'docs/errors.md'
  const text = read(where)
  const refusals = [...read('src/http/oauth2-token.ts').matchAll(/TokenRefusal\('(\w+)'/g)].map(([, code = '']) => code)
  const statuses = Object.fromEntries(refusals.map((code) => [code, code === 'invalid_client' ? 401 : 400]))
  return [
    ...errorsOutOfStep(where, text, STATUS, /^[A-Z_]+$/),
    ...errorsOutOfStep(where, section(text, '/oauth2/token'), statuses, /^[a-z_]+$/),
    ...untoldSentences(where, text, read('src/http/connect-pages.ts')),
  ]
}

async function operating(): Promise<string[]> {
  const where = 'docs/operating.md'
  const text = read(where)
  const { text: shown } = await createMetrics(() => 0).show()
  const metrics = [...shown.matchAll(/^# TYPE (latchstring_(?!process_|nodejs_)\w+)/gm)].map(([, name = '']) => name)
  const list = /const FIELDS[^{]*\{([^}]*)\}/.exec(read('src/log.ts'))?.[1] ?? ''
  const fields = [...list.matchAll(/^ {2}(\w+):/gm)].map(([, name = '']) => name)
  return [
    ...outOfStep(where, 'metric', tableRows(section(text, 'Metrics'), /^latchstring_/).keys(), metrics),
    ...outOfStep(where, 'log field', tableRows(section(text, 'Log'), /^/).keys(), fields),
  ]
}

function section(text: string, heading: string): string {
  const plain = text.split(/^## /m).find((part) => part.replaceAll('`', '').startsWith(`${heading}\n`))
  return plain ?? ''
}

function commandNames(): Set<string> {
  const { commands } = createProgram()
  return new Set(
    commands.flatMap((command) => [command.name(), ...command.commands.map((sub) => `${command.name()} ${sub.name()}`)]),
  )
}

function openapiText(): string {
  return `${JSON.stringify(openapi(), null, 2)}\n`
}

/** Empty when it is not there: whatever should stand in it is then missing. */
function read(path: string): string {
  return existsSync(join(ROOT, path)) ? readFileSync(join(ROOT, path), 'utf8') : ''
}

export function filesNamed(ending: string, folder = ''): Document[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : filesNamed(ending, path)
    return entry.isFile() && path.endsWith(ending) ? [{ path, text: read(path) }] : []
  })
}

// Not `import.meta.main`: behind the launcher, this file is imported.
if (process.argv[1] === import.meta.filename) {
  if (!process.argv.includes('--check')) {
    writeFileSync(join(ROOT, OPENAPI), openapiText())
    console.log(`wrote ${OPENAPI}`)
  } else {
    const found = await problems()
    console.log(
      found.length === 0 ? `The documents and the code agree; ${ROUTES.length} operations are described.` : found.join('\n'),
    )
    process.exitCode = found.length === 0 ? 0 : 1
  }
}
