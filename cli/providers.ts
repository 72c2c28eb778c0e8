/** `latchstring providers`: which services can be connected, and whether a file that describes one is right. */

import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { CatalogError, type Mistake, nearest } from '../src/catalog/mistake.ts'
import { BrokerError } from '../src/core/errors.ts'
import { DEFAULT_TENANT } from '../src/core/setup.ts'
import { withExamples } from './help.ts'
import { asOperator } from './operator.ts'
import { print, printJson, table } from './terminal.ts'

interface Options {
  readonly json?: boolean
}

export function addProviders(program: Command): void {
  const providers = program.command('providers').description('what can be connected: the catalogue, and your own')
  withExamples(providers, {
    'latchstring providers list': 'all of them',
    'latchstring providers show google': 'its file',
    'latchstring providers check providers/x.yaml': 'whether a file would be taken into the catalogue',
  })
  // Providers belong to no tenant.
  const everybody = { tenant: DEFAULT_TENANT }

  withExamples(providers.command('list').description('all of them').option('--json', 'for programs').action(list), {
    'latchstring providers list --json': 'for programs',
  })
  async function list({ json }: Options): Promise<void> {
    const found = await asOperator(everybody, (ports) => ports.registry.providers())
    const { providerItem } = await import('../src/http/items.ts')
    const items = found.map(providerItem).sort((a, b) => a.id.localeCompare(b.id))
    if (json) return printJson({ providers: items })
    print(
      table(items, [
        { title: 'ID', cell: ({ id }) => id },
        { title: 'NAME', cell: ({ name }) => name },
        { title: 'MODE', cell: ({ mode }) => mode },
        { title: 'DOCS', cell: ({ docs }) => docs[0] ?? null },
      ]),
    )
  }

  withExamples(
    providers.command('show <id>').description('one as its file has it').option('--json', 'for programs').action(show),
    {
      'latchstring providers show google': 'as YAML, to start one of your own from',
    },
  )
  async function show(id: string, { json }: Options): Promise<void> {
    const { stringify } = await import('yaml')
    await asOperator(everybody, async ({ registry }) => {
      const found = await registry.provider(id)
      if (!found) {
        const meant = nearest(
          id,
          (await registry.providers()).map((provider) => provider.id),
        )
        throw new BrokerError('NOT_FOUND', `no provider ${id}${meant ? `: did you mean ${meant}?` : ''}`)
      }
      if (json) return printJson(found)
      print(stringify(found).trimEnd())
    })
  }

  withExamples(
    providers
      .command('check <files...>')
      .description('whether files for the catalogue are right')
      .option('--json', 'for programs')
      .action(check),
    { 'latchstring providers check providers/*.yaml': 'every mistake of every file, with its line' },
  )
  async function check(paths: string[], { json }: Options): Promise<void> {
    const { readCatalog } = await import('../src/catalog/load.ts')
    const { files, missing } = await filesOf(paths)
    const { right, mistakes } = judged(() => readCatalog(files))
    if (missing.length + mistakes.length > 0) throw new CatalogError([...missing, ...mistakes])
    if (json) return printJson({ right })
    print(right.length === 1 ? `${right[0]} is right` : `${right.length} files are right: ${right.join(', ')}`)
  }
}

/** What cannot be read is a mistake like the others, and hides none of them. */
async function filesOf(paths: readonly string[]): Promise<{ files: { name: string; text: string }[]; missing: Mistake[] }> {
  const files: { name: string; text: string }[] = []
  const missing: Mistake[] = []
  for (const path of paths) {
    try {
      files.push({ name: path, text: await readFile(path, 'utf8') })
    } catch (error) {
      const message = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'is not there' : 'cannot be read'
      missing.push({ file: path, place: null, path: '', message })
    }
  }
  return { files, missing }
}

function judged(read: () => ReadonlyMap<string, unknown>): { right: string[]; mistakes: readonly Mistake[] } {
  try {
    return { right: [...read().keys()], mistakes: [] }
  } catch (error) {
    if (!(error instanceof CatalogError)) throw error
    return { right: [], mistakes: error.mistakes }
  }
}
